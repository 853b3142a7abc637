// Detector frames to patterns. gridDim.y is the number of frames of a batch; threads come in whole warps.
//
// Of whole pixels, sums of counts and of weights are 64-bit integers, so no order of adding changes a bit of them.

#include "bslz4.h"

// Adds the pixels of one frame to its pattern; bins[pixel] is `count` where a pixel belongs to no bin.
template <class Pixel>
struct Pattern {
    const u32* bins;
    const i64* weights;
    u32 count;     // of bins
    Pixel limit;   // the largest valid value
    u64* sums;     // of counts, in shared memory where they fit there
    u64* excluded; // weights of the pixels above the limit

    __device__ void operator()(i64 pixel, Pixel value) {
        if (value == 0) return;
        const u32 bin = bins[pixel];
        if (bin >= count) return;
        if (value <= limit) atomicAdd(sums + bin, (u64)value);
        else atomicAdd(excluded + bin, (u64)weights[pixel]);
    }
};

// Writes the pixels of one frame.
template <class Pixel>
struct Image {
    Pixel* pixels;

    __device__ void operator()(i64 pixel, Pixel value) { pixels[pixel] = value; }
};

static __device__ void clear(u64* sums, u32 count) {
    for (u32 bin = threadIdx.x; bin < count; bin += blockDim.x) sums[bin] = 0;
    __syncthreads();
}

static __device__ void flush(const u64* sums, u32 count, u64* total) {
    __syncthreads();
    for (u32 bin = threadIdx.x; bin < count; bin += blockDim.x)
        if (sums[bin]) atomicAdd(total + bin, sums[bin]);
}

// Shared memory: a buffer of one block for each warp, then `count` sums where `gather` is not 0.
template <class Pixel>
static __device__ void reduce(const u8* blobs, const i64* positions, int blocks, i64 pixels, const u32* bins,
                              const i64* weights, u32 count, u32 limit, int gather, u64* sums, u64* excluded,
                              u32* damaged) {
    extern __shared__ u64 shared[];
    const i64 frame = blockIdx.y;
    u8* buffers = (u8*)shared;
    u64* total = sums + frame * count;
    u64* here = gather ? shared + blockDim.x / WARP * (BLOCK / 8) : total;
    if (gather) clear(here, count);
    Pattern<Pixel> pattern = {bins, weights, count, (Pixel)limit, here, excluded + frame * count};
    if (!each_pixel<Pixel>(blobs, positions + frame * (blocks + 1), pixels, buffers, pattern)) damaged[frame] = 1;
    if (gather) flush(here, count, total);
}

// The same of frames that are not compressed. Shared memory: `count` sums where `gather` is not 0.
template <class Pixel>
static __device__ void integrate(const Pixel* images, i64 pixels, const u32* bins, const i64* weights, u32 count,
                                 u32 limit, int gather, u64* sums, u64* excluded) {
    extern __shared__ u64 shared[];
    const i64 frame = blockIdx.y;
    u64* total = sums + frame * count;
    u64* here = gather ? shared : total;
    if (gather) clear(here, count);
    Pattern<Pixel> pattern = {bins, weights, count, (Pixel)limit, here, excluded + frame * count};
    const Pixel* image = images + frame * pixels;
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < pixels; i += (i64)gridDim.x * blockDim.x)
        pattern(i, image[i]);
    if (gather) flush(here, count, total);
}

// Frames decoded and kept.
template <class Pixel>
static __device__ void decode(const u8* blobs, const i64* positions, int blocks, i64 pixels, Pixel* images,
                              u32* damaged) {
    extern __shared__ u64 shared[];
    const i64 frame = blockIdx.y;
    Image<Pixel> image = {images + frame * pixels};
    if (!each_pixel<Pixel>(blobs, positions + frame * (blocks + 1), pixels, (u8*)shared, image)) damaged[frame] = 1;
}

// Frames whose pixels are shared out over bins. A warp adds up a bin, whose entries are first[bin] to first[bin + 1]:
// totals are (frame, 3, bin) Σ s·count, Σ s²·count, Σ s·weight of valid pixels; lanes are added in their order, so that
// the same frame always gives the same bits. Shared memory: 3 doubles for each thread.
template <class Pixel>
static __device__ void share(const Pixel* images, i64 pixels, const i64* first, const u32* places,
                             const double* shares, const double* weights, u32 count, u32 limit, double* totals) {
    extern __shared__ u64 shared[];
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    double* parts = (double*)shared + warp * 3 * WARP;
    const Pixel* image = images + blockIdx.y * pixels;
    const u32 bin = blockIdx.x * (blockDim.x / WARP) + warp;
    if (bin >= count) return;
    double sum = 0, square = 0, norm = 0;
    for (i64 entry = first[bin] + lane; entry < first[bin + 1]; entry += WARP) {
        const Pixel value = image[places[entry]];
        if (value > limit) continue;
        const double part = shares[entry] * value;
        sum += part;
        square += shares[entry] * part;
        norm += shares[entry] * weights[places[entry]];
    }
    parts[lane] = sum;
    parts[WARP + lane] = square;
    parts[2 * WARP + lane] = norm;
    __syncwarp();
    if (lane >= 3) return;
    double total = 0;
    for (int i = 0; i < WARP; i++) total += parts[lane * WARP + i];
    totals[((i64)blockIdx.y * 3 + lane) * count + bin] = total;
}

#define KERNELS(name, Pixel)                                                                                       \
    extern "C" __global__ void reduce_##name(const u8* blobs, const i64* positions, int blocks, i64 pixels,        \
                                             const u32* bins, const i64* weights, u32 count, u32 limit,            \
                                             int gather, u64* sums, u64* excluded, u32* damaged) {                 \
        reduce<Pixel>(blobs, positions, blocks, pixels, bins, weights, count, limit, gather, sums, excluded,       \
                      damaged);                                                                                    \
    }                                                                                                              \
    extern "C" __global__ void integrate_##name(const Pixel* images, i64 pixels, const u32* bins,                  \
                                                const i64* weights, u32 count, u32 limit, int gather, u64* sums,   \
                                                u64* excluded) {                                                   \
        integrate<Pixel>(images, pixels, bins, weights, count, limit, gather, sums, excluded);                     \
    }                                                                                                              \
    extern "C" __global__ void decode_##name(const u8* blobs, const i64* positions, int blocks, i64 pixels,        \
                                             Pixel* images, u32* damaged) {                                        \
        decode<Pixel>(blobs, positions, blocks, pixels, images, damaged);                                          \
    }                                                                                                              \
    extern "C" __global__ void share_##name(const Pixel* images, i64 pixels, const i64* first, const u32* places,  \
                                            const double* shares, const double* weights, u32 count, u32 limit,     \
                                            double* totals) {                                                      \
        share<Pixel>(images, pixels, first, places, shares, weights, count, limit, totals);                        \
    }

KERNELS(uint8, u8)
KERNELS(uint16, u16)
KERNELS(uint32, u32)
