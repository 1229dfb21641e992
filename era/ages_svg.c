/* SPDX-License-Identifier: MIT */
/* Ages as a picture. */
#include "era/age_classes.h"
#include "era/ages_format.h"
#include "era/extents.h"

/* Lengths are in the picture's own units, pixels if it is shown as large as it says. */
#define MAP_LEFT 90
#define MAP_TOP 84
#define MAP_WIDTH 640
#define MAX_CELL 40
#define LEGEND_WIDTH 300
#define LEGEND_STEP 34
#define MARGIN 30
#define AXIS_ROOM 44	   /* below the map */
#define ROW_TICKS_APART 30 /* at least */
#define COLUMN_TICKS_APART 90
#define LABEL_HEIGHT 110 /* of an axis' name, when it stands upright */

/* From yellow, the newest, through red and violet to blue; and what was never written. */
static const char *const colours[AGE_CLASSES + 1] = {
	"#f0e442", "#fdab33", "#ed7455", "#cc4778", "#9c179e", "#5c01a6", "#0d0887", "#e4e6ea",
};

struct picture {
	const struct ages *ages;
	const struct ages_grid *grid;
	struct age_classes classes;
	uint64_t columns, rows;
	double cell; /* width and height */
	struct text text;
};

/* A power of two, so that labels come out round; few cells make a map that is no thin strip. */
static void lay_out(struct picture *picture)
{
	uint64_t nr = picture->grid->nr_cells;

	picture->columns = 1;
	while (picture->columns < SVG_COLUMNS && picture->columns * picture->columns < 2 * nr)
		picture->columns *= 2;
	picture->rows = (nr + picture->columns - 1) / picture->columns;
	picture->cell = (double)MAP_WIDTH / (double)picture->columns;
	if (picture->cell > MAX_CELL)
		picture->cell = MAX_CELL;
}

static double map_height(const struct picture *picture)
{
	return (double)picture->rows * picture->cell;
}

static double map_width(const struct picture *picture)
{
	return (double)picture->columns * picture->cell;
}

/* Of cells, to be printed. */
static const char *offset_text(const struct picture *picture, char text[SIZE_TEXT], uint64_t cells)
{
	const struct ages *ages = picture->ages;

	if (!cells)
		return "0";
	return size_text(text, cells * picture->grid->per_cell * ages->info.data_block_size *
				       SECTOR_SIZE);
}

/* Text that may hold what means something in XML; what is not printable would make it malformed. */
static void put_escaped(struct text *text, const char *string)
{
	for (; *string; string++) {
		unsigned char c = (unsigned char)*string;

		if (c == '&' || c == '<' || c == '>' || c == '"')
			text_print(text, "&#%u;", c);
		else
			text_print(text, "%c", c >= 0x20 && c < 0x7f ? c : '?');
	}
}

static unsigned nr_legend_rows(const struct picture *picture)
{
	return picture->classes.nr + (picture->classes.classes[AGE_NEVER].nr_blocks > 0);
}

static void put_head(struct picture *picture, const char *title)
{
	const struct ages *ages = picture->ages;
	double height = map_height(picture), legend = nr_legend_rows(picture) * LEGEND_STEP;
	double width = MAP_LEFT + map_width(picture) + MARGIN + LEGEND_WIDTH;
	char size[SIZE_TEXT], block[SIZE_TEXT];

	height = MAP_TOP + (height > legend ? height : legend) + AXIS_ROOM + MARGIN;
	text_print(&picture->text,
		   "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
		   "viewBox=\"0 0 %.0f %.0f\" font-family=\"system-ui, 'DejaVu Sans', sans-serif\" "
		   "font-size=\"12\" fill=\"#333\">\n"
		   "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n"
		   "<text x=\"%d\" y=\"34\" font-size=\"18\" font-weight=\"600\">",
		   width, height, width, height, MAP_LEFT);
	put_escaped(&picture->text, title);
	text_print(
		&picture->text,
		"</text>\n<text x=\"%d\" y=\"56\" fill=\"#666\">%s in %u blocks of %s, in era %u",
		MAP_LEFT, size_text(size, ages->end), ages->info.nr_blocks,
		size_text(block, (uint64_t)ages->info.data_block_size * SECTOR_SIZE),
		ages->info.current_era);
	if (picture->grid->per_cell > 1)
		text_print(&picture->text, "; a square is %llu blocks, of which the newest counts",
			   (unsigned long long)picture->grid->per_cell);
	text_print(&picture->text, "</text>\n");
}

/* The cells of one class in one row, as rectangles of a path. */
static void put_runs(struct picture *picture, uint64_t row, unsigned class)
{
	const struct ages_grid *grid = picture->grid;
	uint64_t first = row * picture->columns, end = first + picture->columns, from;

	if (end > grid->nr_cells)
		end = grid->nr_cells;
	for (uint64_t i = first; i < end;) {
		if (age_classes_of(&picture->classes, grid->eras[i]) != class) {
			i++;
			continue;
		}
		for (from = i; i < end;)
			if (age_classes_of(&picture->classes, grid->eras[i++]) != class) {
				i--;
				break;
			}
		text_print(&picture->text, "M%llu %lluh%lluv1H%lluz",
			   (unsigned long long)(from - first), (unsigned long long)row,
			   (unsigned long long)(i - from), (unsigned long long)(from - first));
	}
}

static void put_class(struct picture *picture, unsigned class)
{
	char name[CLASS_TEXT];

	if (!picture->classes.classes[class].nr_blocks)
		return;
	text_print(&picture->text, "<path fill=\"%s\" d=\"", colours[class]);
	for (uint64_t row = 0; row < picture->rows && !text_error(&picture->text); row++)
		put_runs(picture, row, class);
	text_print(&picture->text, "\"><title>%s</title></path>\n",
		   class_text(name, &picture->classes.classes[class]));
}

static void put_map(struct picture *picture)
{
	text_print(
		&picture->text,
		"<g transform=\"translate(%d %d) scale(%.4f)\" shape-rendering=\"crispEdges\">\n",
		MAP_LEFT, MAP_TOP, picture->cell);
	for (unsigned i = 0; i <= AGE_NEVER; i++)
		put_class(picture, i);
	text_print(&picture->text,
		   "</g>\n<rect x=\"%d\" y=\"%d\" width=\"%.2f\" height=\"%.2f\" fill=\"none\" "
		   "stroke=\"#999\"/>\n",
		   MAP_LEFT, MAP_TOP, map_width(picture), map_height(picture));
}

static void put_tick(struct picture *picture, double x, double y, double dx, double dy)
{
	text_print(&picture->text, "<path d=\"M%.2f %.2fl%.0f %.0f\" stroke=\"#999\"/>\n", x, y, dx,
		   dy);
}

/* Ticks are a power of two of cells apart, so that labels come out round. */
static uint64_t tick_step(const struct picture *picture, double apart)
{
	uint64_t step = 1;

	while ((double)step * picture->cell < apart)
		step *= 2;
	return step;
}

/* How far into the device the rows begin. */
static void put_rows_axis(struct picture *picture)
{
	uint64_t step = tick_step(picture, ROW_TICKS_APART);
	char label[SIZE_TEXT];

	for (uint64_t row = 0; row < picture->rows; row += step) {
		double y = MAP_TOP + (double)row * picture->cell;

		put_tick(picture, MAP_LEFT, y, -5, 0);
		text_print(
			&picture->text, "<text x=\"%d\" y=\"%.2f\" text-anchor=\"end\">%s</text>\n",
			MAP_LEFT - 9, y + 4, offset_text(picture, label, row * picture->columns));
	}
	if (map_height(picture) < LABEL_HEIGHT)
		return;
	text_print(&picture->text,
		   "<text transform=\"translate(16 %.2f) rotate(-90)\" text-anchor=\"middle\" "
		   "fill=\"#666\">offset of the row</text>\n",
		   MAP_TOP + map_height(picture) / 2);
}

/* And how far into a row its squares lie. */
static void put_columns_axis(struct picture *picture)
{
	uint64_t step = tick_step(picture, COLUMN_TICKS_APART);
	double y = MAP_TOP + map_height(picture);
	char label[SIZE_TEXT];

	for (uint64_t column = 0; column <= picture->columns; column += step) {
		double x = MAP_LEFT + (double)column * picture->cell;

		put_tick(picture, x, y, 0, 5);
		text_print(&picture->text,
			   "<text x=\"%.2f\" y=\"%.2f\" text-anchor=\"middle\">%s</text>\n", x,
			   y + 19, offset_text(picture, label, column));
	}
	text_print(&picture->text,
		   "<text x=\"%.2f\" y=\"%.2f\" text-anchor=\"middle\" fill=\"#666\">offset in the "
		   "row</text>\n",
		   MAP_LEFT + map_width(picture) / 2, y + 38);
}

static void put_legend_row(struct picture *picture, unsigned i, unsigned row)
{
	const struct ages *ages = picture->ages;
	const struct age_class *class = &picture->classes.classes[i];
	double x = MAP_LEFT + map_width(picture) + MARGIN, y = MAP_TOP + row * LEGEND_STEP;
	char name[CLASS_TEXT], size[SIZE_TEXT], share[SHARE_TEXT];

	text_print(&picture->text,
		   "<rect x=\"%.2f\" y=\"%.2f\" width=\"22\" height=\"22\" rx=\"3\" fill=\"%s\" "
		   "stroke=\"#999\" stroke-width=\".5\"/>\n"
		   "<text x=\"%.2f\" y=\"%.2f\" font-weight=\"600\">%s</text>\n"
		   "<text x=\"%.2f\" y=\"%.2f\" fill=\"#666\">%llu block%s, %s, ",
		   x, y, colours[i], x + 32, y + 9, class_text(name, class), x + 32, y + 24,
		   (unsigned long long)class->nr_blocks, class->nr_blocks == 1 ? "" : "s",
		   size_text(size, ages_bytes(ages, class->nr_blocks, class->with_last)));
	put_escaped(&picture->text, share_text(share, class->nr_blocks, ages->info.nr_blocks));
	text_print(&picture->text, "</text>\n");
}

static void put_legend(struct picture *picture)
{
	unsigned row = 0;

	text_print(&picture->text,
		   "<text x=\"%.2f\" y=\"%d\" fill=\"#666\">last written in</text>\n",
		   MAP_LEFT + map_width(picture) + MARGIN, MAP_TOP - 10);
	for (unsigned i = 0; i <= AGE_NEVER; i++)
		if (picture->classes.classes[i].nr_blocks)
			put_legend_row(picture, i, row++);
}

int ages_format_svg(const struct ages *ages, const char *title, const struct text_output *output)
{
	struct picture picture = {.ages = ages, .grid = &ages->grids[1]};
	int r = text_init(&picture.text, output);

	if (r)
		return r;
	age_classes_make(&picture.classes, ages);
	lay_out(&picture);
	put_head(&picture, title);
	put_map(&picture);
	put_rows_axis(&picture);
	put_columns_axis(&picture);
	put_legend(&picture);
	text_print(&picture.text, "</svg>\n");
	r = text_flush(&picture.text);
	text_destroy(&picture.text);
	return r;
}
