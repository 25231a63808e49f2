/* The practical limit of reading chunks: decode them from memory, one after the other, into one buffer.

   No file is read, no checksum verified, nothing is gathered into samples. Used by store_readers.py through ctypes. */
#define ZSTD_STATIC_LINKING_ONLY /* for ZSTD_d_forceIgnoreChecksum */
#include <blosc.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <zstd.h>

/* Each returns 0, or the number (from 1) of the first chunk that does not decode to its size. */

long decode_zstd(const uint64_t *address, const uint64_t *length, const uint64_t *size, long n, void *out)
{
    static ZSTD_DCtx *context; /* one for all calls: the benchmark has one thread */
    if (context == NULL) {
        context = ZSTD_createDCtx();
        if (context == NULL || ZSTD_isError(ZSTD_DCtx_setParameter(context, ZSTD_d_forceIgnoreChecksum, ZSTD_d_ignoreChecksum)))
            return -1;
    }
    for (long i = 0; i < n; i++)
        if (ZSTD_decompressDCtx(context, out, size[i], (const void *)address[i], length[i]) != size[i])
            return i + 1;
    return 0;
}

long decode_blosc(const uint64_t *address, const uint64_t *length, const uint64_t *size, long n, void *out)
{
    (void)length; /* stands in the chunk's own header */
    for (long i = 0; i < n; i++)
        if (blosc_decompress_ctx((const void *)address[i], out, size[i], 1) != (long)size[i])
            return i + 1;
    return 0;
}

/* What any reader has to do at least: write the decoded bytes once. */
void copy(void *out, const void *in, size_t size) { memcpy(out, in, size); }

const char *zstd_version(void) { return ZSTD_versionString(); }
const char *blosc_version(void) { return blosc_get_version_string(); }
