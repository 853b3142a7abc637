// Runs one kernel of kernels.cu or projector.cu on the CPU: name, grid, threads, shared bytes and arguments come on
// standard input, the arrays among the arguments go back on standard output. Each array lies in memory of exactly its
// size.

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>

#include "cuda_shim.h"
#include "kernels.cu"
#include "projector.cu"

struct Argument {
    i64 size;  // -1: a number
    i64 number;
    std::unique_ptr<u8[]> bytes;
};

static i64 read_number() {
    i64 number;
    if (std::fread(&number, 8, 1, stdin) != 1) std::abort();
    return number;
}

static std::vector<Argument> read_arguments(i64 count) {
    std::vector<Argument> arguments(count);
    for (Argument& argument : arguments) {
        argument.size = read_number();
        if (argument.size < 0) {
            argument.number = read_number();
        } else {
            argument.bytes.reset(new u8[argument.size]);
            if (argument.size && std::fread(argument.bytes.get(), argument.size, 1, stdin) != 1) std::abort();
        }
    }
    return arguments;
}

template <class T>
T as(const Argument& argument) {
    if constexpr (std::is_pointer_v<T>) return (T)argument.bytes.get();
    else return (T)argument.number;
}

template <class... T, size_t... I>
void call(void (*kernel)(T...), const std::vector<Argument>& arguments, std::index_sequence<I...>) {
    kernel(as<T>(arguments[I])...);
}

using Call = std::function<void(const std::vector<Argument>&)>;

template <class... T>
Call callable(void (*kernel)(T...)) {
    return [kernel](const std::vector<Argument>& arguments) {
        if (arguments.size() != sizeof...(T)) std::abort();
        call(kernel, arguments, std::index_sequence_for<T...>());
    };
}

static const std::map<std::string, Call> KERNELS_BY_NAME = {
    {"reduce_uint8", callable(reduce_uint8)},       {"reduce_uint16", callable(reduce_uint16)},
    {"reduce_uint32", callable(reduce_uint32)},     {"integrate_uint8", callable(integrate_uint8)},
    {"integrate_uint16", callable(integrate_uint16)}, {"integrate_uint32", callable(integrate_uint32)},
    {"decode_uint8", callable(decode_uint8)},       {"decode_uint16", callable(decode_uint16)},
    {"decode_uint32", callable(decode_uint32)},     {"share_uint8", callable(share_uint8)},
    {"share_uint16", callable(share_uint16)},       {"share_uint32", callable(share_uint32)},
    {"project", callable(project)},                 {"backproject", callable(backproject)},
};

int main(int, char** argv) {
    const Call& kernel = KERNELS_BY_NAME.at(argv[1]);
    shim::lot.seed(std::atoi(argv[2]));
    const dim3 grid = {(unsigned)read_number(), (unsigned)read_number()};
    const unsigned threads = (unsigned)read_number();
    const size_t bytes = (size_t)read_number();
    const std::vector<Argument> arguments = read_arguments(read_number());
    shim::launch(grid, threads, bytes, [&] { kernel(arguments); });
    for (const Argument& argument : arguments)
        if (argument.size > 0) std::fwrite(argument.bytes.get(), argument.size, 1, stdout);
}
