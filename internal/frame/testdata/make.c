// make.c wrote the .jpg files beside it, with libjpeg-turbo's encoder:
//
//	cc make.c -ljpeg && ./a.out
//
// One picture, 45 x 29 pixels (no multiple of any MCU), in every kind that
// Inspect has to tell apart and that Go's own encoder cannot write.
#include <stdio.h>

#include <jpeglib.h>

enum { W = 45, H = 29 };

struct kind {
	const char *file;
	J_COLOR_SPACE in;
	int planes;
	J_COLOR_SPACE out;
	int progressive, arithmetic, restart, quality, force_baseline, h, v;
};

static void make(const struct kind *k)
{
	struct jpeg_compress_struct c;
	struct jpeg_error_mgr e;
	unsigned char row[W * 4];
	JSAMPROW rows = row;
	FILE *f = fopen(k->file, "wb");

	c.err = jpeg_std_error(&e);
	jpeg_create_compress(&c);
	jpeg_stdio_dest(&c, f);
	c.image_width = W;
	c.image_height = H;
	c.input_components = k->planes;
	c.in_color_space = k->in;
	jpeg_set_defaults(&c);
	jpeg_set_colorspace(&c, k->out);
	jpeg_set_quality(&c, k->quality, k->force_baseline);
	if (k->out == JCS_YCbCr) {
		c.comp_info[0].h_samp_factor = k->h;
		c.comp_info[0].v_samp_factor = k->v;
	}
	c.arith_code = k->arithmetic;
	c.restart_interval = k->restart;
	if (k->progressive)
		jpeg_simple_progression(&c);
	jpeg_start_compress(&c, TRUE);
	for (int y = 0; y < H; y++) {
		for (int x = 0; x < W; x++)
			for (int p = 0; p < k->planes; p++)
				row[x * k->planes + p] = x * 5 + y * 7 * (p + 1) + (p == 1 ? x * y >> 2 : 0);
		jpeg_write_scanlines(&c, &rows, 1);
	}
	jpeg_finish_compress(&c);
	jpeg_destroy_compress(&c);
	fclose(f);
}

int main(void)
{
	static const struct kind kinds[] = {
		{"color-422.jpg", JCS_RGB, 3, JCS_YCbCr, 0, 0, 0, 60, 1, 2, 1},
		{"restart.jpg", JCS_RGB, 3, JCS_YCbCr, 0, 0, 2, 60, 1, 2, 2},
		{"rgb-adobe.jpg", JCS_RGB, 3, JCS_RGB, 0, 0, 0, 60, 1, 1, 1},
		{"gray.jpg", JCS_GRAYSCALE, 1, JCS_GRAYSCALE, 0, 0, 0, 60, 1, 1, 1},
		{"cmyk.jpg", JCS_CMYK, 4, JCS_CMYK, 0, 0, 0, 40, 1, 1, 1},
		{"progressive.jpg", JCS_RGB, 3, JCS_YCbCr, 1, 0, 0, 60, 1, 2, 2},
		{"progressive-gray.jpg", JCS_GRAYSCALE, 1, JCS_GRAYSCALE, 1, 0, 0, 60, 1, 1, 1},
		{"extended.jpg", JCS_GRAYSCALE, 1, JCS_GRAYSCALE, 0, 0, 0, 5, 0, 1, 1},
		{"arithmetic.jpg", JCS_GRAYSCALE, 1, JCS_GRAYSCALE, 0, 1, 0, 60, 1, 1, 1},
	};
	for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		make(&kinds[i]);
	return 0;
}
