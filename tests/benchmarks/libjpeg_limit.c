/* The practical limit: libjpeg-turbo reads the coefficients of an image in memory, and one value of each block is
 * touched. Compiled by bench_extraction.py: cc -O2 -shared -fPIC libjpeg_limit.c -o ... -ljpeg
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <jpeglib.h>

struct handler {
    struct jpeg_error_mgr base;
    jmp_buf out;
};

static void on_error(j_common_ptr info) { longjmp(((struct handler *)info->err)->out, 1); }

static void on_message(j_common_ptr info) { (void)info; }

/* Sum of the DC coefficients of all components, or -1 after an error. */
long read_and_touch(const unsigned char *data, unsigned long size)
{
    struct jpeg_decompress_struct info;
    struct handler handler;
    volatile long sum = 0;

    info.err = jpeg_std_error(&handler.base);
    handler.base.error_exit = on_error;
    handler.base.output_message = on_message;
    if (setjmp(handler.out)) {
        jpeg_destroy_decompress(&info);
        return -1;
    }
    jpeg_create_decompress(&info);
    jpeg_mem_src(&info, data, size);
    jpeg_read_header(&info, TRUE);
    jvirt_barray_ptr *planes = jpeg_read_coefficients(&info);
    for (int c = 0; c < info.num_components; c++) {
        jpeg_component_info *component = &info.comp_info[c];
        long part = 0;
        for (JDIMENSION y = 0; y < component->height_in_blocks; y++) {
            JBLOCKARRAY row = info.mem->access_virt_barray((j_common_ptr)&info, planes[c], y, 1, FALSE);
            for (JDIMENSION x = 0; x < component->width_in_blocks; x++)
                part += row[0][x][0];
        }
        sum += part;
    }
    jpeg_finish_decompress(&info);
    jpeg_destroy_decompress(&info);
    return sum;
}
