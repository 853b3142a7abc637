// Ray sums of a slice and their transpose, channels last. Lengths are in steps but for the height of the footprint.
//
// A warp has one ray, or one voxel, and 128 channels of it: each output is summed by one thread in one order, without
// atomics, so the same bits come out every time. Both kernels take their weights from `weight`: they are transposes.

typedef long long i64;

#define WARP 32
#define PER 4  // channels of a thread: the weight is made once for all of them

// An angle: voxel (i, j) lies over position u = origin + i sin + j cos; its footprint is a trapezoid around u.
struct View {
    double cos, sin, origin, outer, inner, height, curvature;
};

// Integral from 0 to t of the footprint of a unit square.
static __device__ float footprint_area(const View& view, float t) {
    const float u = fminf(fabsf(t), (float)view.outer);
    const float ramp = fmaxf(u - (float)view.inner, 0.0f);
    return copysignf((float)view.height * (u - ramp * ramp * (float)view.curvature), t);
}

// Mean path of the strip at `position` through a voxel over u; exactly 0 where they do not meet.
static __device__ float weight(const View& view, double u, int position) {
    const float t = (float)(position - 0.5 - u);
    return footprint_area(view, t + 1.0f) - footprint_area(view, t);
}

// Sums for every PER-th warp's width of channels, from the thread's first one.
struct Total {
    int first, channels;
    float sums[PER];

    __device__ Total(int channels) : first(blockIdx.y * WARP * PER + threadIdx.x % WARP), channels(channels), sums() {}

    __device__ void add(float weight, const float* values) {
        for (int m = 0; m < PER; m++)
            if (first + m * WARP < channels) sums[m] += weight * values[first + m * WARP];
    }

    __device__ void store(float* out) const {
        for (int m = 0; m < PER; m++)
            if (first + m * WARP < channels) out[first + m * WARP] = sums[m];
    }
};

static __device__ int warp_number() { return blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP; }

// rays[angle, position, channel] of volume[i, j, channel]; extent[i] are the first and last + 1 column that count.
//
// A ray goes through the lines of voxels that it crosses most steeply, and of each through those it touches: 4 at most.
extern "C" __global__ void project(const float* volume, const int* extent, const View* views, int angles, int count,
                                   int channels, float* rays) {
    const int ray = warp_number();
    if (ray >= angles * count) return;
    const View view = views[ray / count];
    const int position = ray % count;
    const bool columns = fabs(view.sin) > fabs(view.cos);
    const double along = columns ? view.cos : view.sin, across = columns ? view.sin : view.cos;
    const double reach = (view.outer + 0.5) / fabs(across);
    Total total(channels);
    for (int line = 0; line < count; line++) {
        const double middle = (position - view.origin - line * along) / across;
        const int first = (int)fmax(ceil(middle - reach), 0.0);
        const int last = (int)fmin(floor(middle + reach), count - 1.0);
        for (int n = first; n <= last; n++) {
            const int i = columns ? n : line, j = columns ? line : n;
            if (j < extent[2 * i] || j >= extent[2 * i + 1]) continue;
            const double u = view.origin + i * view.sin + j * view.cos;
            total.add(weight(view, u, position), volume + ((i64)i * count + j) * channels);
        }
    }
    total.store(rays + (i64)ray * channels);
}

// The transpose; 0 where a voxel does not count. Three strips always hold a footprint.
extern "C" __global__ void backproject(const float* rays, const int* extent, const View* views, int angles, int count,
                                       int channels, float* volume) {
    const int voxel = warp_number();
    if (voxel >= count * count) return;
    const int i = voxel / count, j = voxel % count;
    const bool counts = extent[2 * i] <= j && j < extent[2 * i + 1];
    Total total(channels);
    for (int angle = 0; counts && angle < angles; angle++) {
        const View view = views[angle];
        const double u = view.origin + i * view.sin + j * view.cos;
        const int first = (int)fmin(fmax(floor(u - view.outer - 0.5) + 1.0, 0.0), count - 3.0);
        for (int position = first; position < first + 3; position++)
            total.add(weight(view, u, position), rays + ((i64)angle * count + position) * channels);
    }
    total.store(volume + (i64)voxel * channels);
}
