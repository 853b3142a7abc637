// Enough of CUDA to run a kernel on a CPU, under the sanitizers: one thread block after another, its threads as fibres.
//
// A fibre runs until it meets a barrier. Which one runs next is drawn by lot, so that a barrier that is missing shows
// as a wrong result; one that not all threads reach ends the program.

#pragma once
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <ucontext.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <vector>

#define __global__
#define __device__
#define __shared__

struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};
static dim3 threadIdx, blockIdx, blockDim, gridDim;

static const size_t SHARED = 48 * 1024, STACK = 256 * 1024;
alignas(16) unsigned long long shared[SHARED / 8];

template <class T>
T atomicAdd(T* address, T value) {
    T before = *address;
    *address = before + value;
    return before;
}

namespace shim {

enum State { READY, AT_WARP, AT_BLOCK, DONE };

struct Fibre {
    ucontext_t context;
    std::vector<char> stack = std::vector<char>(STACK);
    State state = READY;
    void* fake = nullptr;
};

static std::vector<Fibre> fibres;
static ucontext_t scheduler;
static const void* main_stack;
static size_t main_size;
static unsigned current;
static std::function<void()> body;
static std::mt19937 lot(622);

inline void leave(State state) {
    Fibre& me = fibres[current];
    me.state = state;
    __sanitizer_start_switch_fiber(state == DONE ? nullptr : &me.fake, main_stack, main_size);
    swapcontext(&me.context, &scheduler);
    __sanitizer_finish_switch_fiber(me.fake, &main_stack, &main_size);
}

inline void enter() {
    __sanitizer_finish_switch_fiber(nullptr, &main_stack, &main_size);
    body();
    leave(DONE);
}

inline void resume(unsigned thread) {
    current = thread;
    threadIdx.x = thread;
    void* fake = nullptr;
    Fibre& next = fibres[thread];
    __sanitizer_start_switch_fiber(&fake, next.stack.data(), STACK);
    swapcontext(&scheduler, &next.context);
    __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
}

// Let a warp, or the block, past a barrier that all its threads have reached.
inline void release(unsigned first, unsigned last, State barrier) {
    unsigned waiting = 0;
    for (unsigned i = first; i < last; i++) waiting += fibres[i].state == barrier;
    if (waiting != last - first) return;
    for (unsigned i = first; i < last; i++) fibres[i].state = READY;
}

inline void run_block() {
    const unsigned threads = blockDim.x;
    for (Fibre& fibre : fibres) {
        getcontext(&fibre.context);
        fibre.context.uc_stack.ss_sp = fibre.stack.data();
        fibre.context.uc_stack.ss_size = STACK;
        fibre.context.uc_link = nullptr;
        makecontext(&fibre.context, enter, 0);
        fibre.state = READY;
    }
    std::vector<unsigned> ready;
    while (true) {
        for (unsigned warp = 0; warp < threads; warp += 32) release(warp, warp + 32, AT_WARP);
        release(0, threads, AT_BLOCK);
        ready.clear();
        unsigned done = 0;
        for (unsigned i = 0; i < threads; i++) {
            if (fibres[i].state == READY) ready.push_back(i);
            done += fibres[i].state == DONE;
        }
        if (done == threads) return;
        if (ready.empty()) {
            std::fprintf(stderr, "a barrier is not reached by all threads\n");
            std::abort();
        }
        std::shuffle(ready.begin(), ready.end(), lot);
        for (unsigned thread : ready) resume(thread);
    }
}

// kernel<<<grid, threads, bytes>>>
inline void launch(dim3 grid, unsigned threads, size_t bytes, std::function<void()> kernel) {
    if (threads % 32 || bytes > SHARED) std::abort();
    body = kernel;
    gridDim = grid;
    blockDim = {threads, 1, 1};
    fibres = std::vector<Fibre>(threads);
    ASAN_POISON_MEMORY_REGION((char*)shared + bytes, SHARED - bytes);
    for (blockIdx.y = 0; blockIdx.y < grid.y; blockIdx.y++)
        for (blockIdx.x = 0; blockIdx.x < grid.x; blockIdx.x++) {
            for (size_t i = 0; i < bytes; i++) ((char*)shared)[i] = (char)lot();  // nothing is there on entry
            run_block();
        }
    ASAN_UNPOISON_MEMORY_REGION(shared, SHARED);
}

}  // namespace shim

inline void __syncwarp() { shim::leave(shim::AT_WARP); }
inline void __syncthreads() { shim::leave(shim::AT_BLOCK); }
