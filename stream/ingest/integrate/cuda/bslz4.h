// One block of bitshuffle-LZ4 (HDF5 filter 32008), decoded by one warp into shared memory.
//
// All lanes of a warp parse the same bytes and take the same branches; only the copies are shared among them.
// Nothing the bytes say is believed: a read or write is done once it is known to lie inside its buffer. What is
// accepted is what LZ4's own decoder accepts (LZ4_decompress_safe), but for an offset of 0, which is refused.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef long long i64;
typedef unsigned long long u64;

#define WARP 32
#define BLOCK 8192       // bytes of a block; what every detector and HDF5 file seen uses
#define LAST_LITERALS 5  // a block ends with so many literals at least ...
#define MATCH_LIMIT 12   // ... and no match begins in its last bytes

// The rest of a length of 15 or more; false where the bytes end, or it grows beyond `most`.
static __device__ bool lz4_extend(const u8*& in, const u8* end, int most, int& length) {
    u8 more;
    do {
        if (in == end || length > most) return false;
        more = *in++;
        length += more;
    } while (more == 255);
    return true;
}

// LZ4 block in [in, end) into exactly `size` bytes at `out`; false where it is damaged. For all lanes of a warp.
static __device__ bool lz4_decode(const u8* in, const u8* end, u8* out, int size, int lane) {
    int at = 0;
    while (in != end) {
        const u8 token = *in++;
        int literals = token >> 4;
        if (literals == 15 && !lz4_extend(in, end, size, literals)) return false;
        const i64 sent = end - in;
        const bool last = size - at - literals < MATCH_LIMIT || sent - literals < 3 + LAST_LITERALS;
        if (last && (literals != sent || literals != size - at)) return false;
        for (int i = lane; i < literals; i += WARP) out[at + i] = in[i];
        __syncwarp();  // what a match repeats is there
        if (last) return true;
        at += literals;
        in += literals;
        const int offset = in[0] | in[1] << 8;
        in += 2;
        int match = token & 15;
        if (match == 15 && !lz4_extend(in, end, size, match)) return false;
        match += 4;
        if (offset == 0 || offset > at || match > size - at - LAST_LITERALS) return false;
        for (int i = lane; i < match; i += WARP) out[at + i] = out[at - offset + i % offset];
        at += match;
    }
    return false;
}

// Bit i of byte k becomes bit k of byte i (Warren, Hacker's Delight, 7-3).
static __device__ u64 transpose_bits(u64 x) {
    u64 t = (x ^ (x >> 7)) & 0x00AA00AA00AA00AAull;
    x ^= t ^ (t << 7);
    t = (x ^ (x >> 14)) & 0x0000CCCC0000CCCCull;
    x ^= t ^ (t << 14);
    t = (x ^ (x >> 28)) & 0x00000000F0F0F0F0ull;
    return x ^ t ^ (t << 28);
}

// Pixels 8 * group to 8 * group + 7 of a block of 8 * groups, out of its bit planes.
template <class Pixel>
static __device__ void unshuffle(const u8* planes, int groups, int group, Pixel (&pixels)[8]) {
    for (int i = 0; i < 8; i++) pixels[i] = 0;
    for (int byte = 0; byte < (int)sizeof(Pixel); byte++) {
        u64 bits = 0;
        for (int bit = 0; bit < 8; bit++) bits |= (u64)planes[(8 * byte + bit) * groups + group] << (8 * bit);
        bits = transpose_bits(bits);
        for (int i = 0; i < 8; i++) pixels[i] |= (Pixel)((Pixel)(u8)(bits >> (8 * i)) << (8 * byte));
    }
}

// take(number, value) for pixels of one frame: those of every gridDim.x-th round of blocks, one block a warp.
//
// positions: blocks + 1 places in `blobs` found by following the blocks' lengths: block b is 4 bytes of length and
// LZ4 up to the next place; behind the last one follow the pixels that fill no group of 8. False in every lane of a
// warp that met a damaged block. No barrier of the thread block in here: warps leave at different times.
template <class Pixel, class Take>
static __device__ bool each_pixel(const u8* blobs, const i64* positions, i64 pixels, u8* buffers, Take& take) {
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    const i64 body = pixels - pixels % 8;
    const int step = BLOCK / sizeof(Pixel);
    const int blocks = (int)((body + step - 1) / step);
    u8* planes = buffers + warp * BLOCK;
    for (int block = blockIdx.x * warps + warp; block < blocks; block += gridDim.x * warps) {
        const i64 first = (i64)block * step;
        const int groups = (int)((body - first < step ? body - first : step) / 8);
        const u8 *in = blobs + positions[block] + 4, *end = blobs + positions[block + 1];
        if (!lz4_decode(in, end, planes, groups * 8 * (int)sizeof(Pixel), lane)) return false;
        for (int group = lane; group < groups; group += WARP) {
            Pixel values[8];
            unshuffle<Pixel>(planes, groups, group, values);
            for (int i = 0; i < 8; i++) take(first + 8 * group + i, values[i]);
        }
        __syncwarp();  // the planes have been read, the next block may overwrite them
    }
    if (blockIdx.x == 0 && threadIdx.x < pixels - body) {
        const u8* tail = blobs + positions[blocks] + threadIdx.x * sizeof(Pixel);
        Pixel value = 0;
        for (int byte = 0; byte < (int)sizeof(Pixel); byte++) value |= (Pixel)((Pixel)tail[byte] << (8 * byte));
        take(body + threadIdx.x, value);
    }
    return true;
}
