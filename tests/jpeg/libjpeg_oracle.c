/* Oracle of the tests: what libjpeg-turbo reads from a file in memory, in its own order (blocks, natural order).
 * Compiled by the tests: cc -O2 -shared -fPIC libjpeg_oracle.c -o ... -ljpeg
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jpeglib.h>

struct handler {
    struct jpeg_error_mgr base;
    jmp_buf out;
};

static void on_error(j_common_ptr info) { longjmp(((struct handler *)info->err)->out, 1); }

static void on_message(j_common_ptr info) { (void)info; }

/* Read an image.
 * shape: 4 + 6 per component: width, height, colour space (J_COLOR_SPACE), components; then identifier, h, v, block
 *        rows, block columns, offset into out.
 * tables: 64 per component, natural order.
 * out: NULL, to get the shape only; else capacity values.
 * message: 200 bytes, the error or the last warning.
 * Returns the number of warnings, or -1 after an error, or -2 if out is too small. */
long oracle_read(const unsigned char *data, unsigned long size, int *shape, unsigned short *tables, short *out,
                 long capacity, char *message)
{
    struct jpeg_decompress_struct info;
    struct handler handler;
    long offset = 0, warnings;

    info.err = jpeg_std_error(&handler.base);
    handler.base.error_exit = on_error;
    handler.base.output_message = on_message;
    message[0] = 0;
    if (setjmp(handler.out)) {
        handler.base.format_message((j_common_ptr)&info, message);
        jpeg_destroy_decompress(&info);
        return -1;
    }
    jpeg_create_decompress(&info);
    jpeg_mem_src(&info, data, size);
    jpeg_read_header(&info, TRUE);
    if (info.num_components > 4 || (double)info.image_width * info.image_height > 4e7) {
        strcpy(message, "too large for the oracle");
        jpeg_destroy_decompress(&info);
        return -1;
    }
    shape[0] = (int)info.image_width;
    shape[1] = (int)info.image_height;
    shape[2] = (int)info.jpeg_color_space;
    shape[3] = info.num_components;
    jvirt_barray_ptr *planes = jpeg_read_coefficients(&info);
    for (int c = 0; c < info.num_components; c++) {
        jpeg_component_info *component = &info.comp_info[c];
        int *s = shape + 4 + 6 * c;
        s[0] = component->component_id;
        s[1] = component->h_samp_factor;
        s[2] = component->v_samp_factor;
        s[3] = (int)component->height_in_blocks;
        s[4] = (int)component->width_in_blocks;
        s[5] = (int)offset;
        for (int k = 0; k < 64; k++)
            tables[64 * c + k] = component->quant_table ? component->quant_table->quantval[k] : 0;
        offset += 64L * s[3] * s[4];
        if (out == NULL)
            continue;
        if (offset > capacity) {
            jpeg_destroy_decompress(&info);
            return -2;
        }
        for (int y = 0; y < s[3]; y++) {
            JBLOCKARRAY row = info.mem->access_virt_barray((j_common_ptr)&info, planes[c], (JDIMENSION)y, 1, FALSE);
            memcpy(out + s[5] + 64L * y * s[4], row[0], 128UL * (unsigned long)s[4]);
        }
    }
    jpeg_finish_decompress(&info);
    warnings = info.err->num_warnings;
    if (warnings)
        strncpy(message, info.err->jpeg_message_table[info.err->msg_code], 199);
    jpeg_destroy_decompress(&info);
    return warnings;
}
