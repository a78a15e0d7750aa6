#include "cli/table.h"

#include "base/buffer.h"
#include "cli/text.h"
#include "test.h"

static const struct column columns[] = {
    {"TASK", .least = 6},
    {"TOOK", .right = true},
    {"REASON", .least = 4},
};

static char shown[4096];

static const char *show(const char *const *cells, size_t count, int width, bool colours)
{
    struct table *table = table_new(columns, 3);
    struct buffer out;
    buffer_init(&out, sizeof shown - 1);
    for (size_t i = 0; i < count; i++)
        table_text(table, i % 3 == 0 ? RED : PLAIN, cells[i]);
    table_write(table, 0, width, colours, &out);
    snprintf(shown, sizeof shown, "%s", buffer_string(&out));
    buffer_done(&out);
    table_free(table);
    return shown;
}

TEST(columns_are_as_wide_as_their_cells_and_numbers_stand_right)
{
    const char *const cells[] = {"nightly", "34 ms", "", "a", "1.2 s", "why"};
    CHECK_TEXT("TASK      TOOK  REASON\n"
               "nightly  34 ms\n"
               "a        1.2 s  why\n",
               show(cells, 6, 0, false));
}

TEST(a_narrow_terminal_cuts_the_widest_column_that_may_be_cut)
{
    const char *const cells[] = {"nightly", "34 ms", "the endpoint answered 503"};
    CHECK_TEXT("TASK      TOOK  REASON\n"
               "nightly  34 ms  the endpoint …\n",
               show(cells, 3, 30, false));
}

TEST(a_number_is_shown_whole_or_not_at_all)
{
    const char *const cells[] = {"nightly-invoices", "1234 ms", "503"};
    CHECK_TEXT("TASK        TOOK …\n"
               "nightl…  1234 ms\n",
               show(cells, 3, 18, false));
    CHECK_TEXT("TASK …\n"
               "nightly-inv…\n",
               show(cells, 3, 14, false));
}

TEST(a_table_never_exceeds_the_terminal_however_narrow)
{
    const char *const cells[] = {"nightly-invoices", "1234567890", "the endpoint answered 503"};
    for (int width = 1; width < 60; width++) {
        char *line = strdup(show(cells, 3, width, false)), *rest = line, *one;
        while ((one = strsep(&rest, "\n")))
            CHECK(text_width(one) <= width);
        free(line);
    }
}

TEST(wide_characters_take_two_columns_and_combining_ones_none)
{
    const char *const cells[] = {"日本", "1 s", "x", "e\xcc\x81t\xc3\xa9", "2 s", "y"};
    CHECK_TEXT("TASK  TOOK  REASON\n"
               "日本   1 s  x\n"
               "e\xcc\x81t\xc3\xa9    2 s  y\n",
               show(cells, 6, 0, false));
}

TEST(colours_do_not_count_as_width)
{
    const char *const cells[] = {"nightly", "34 ms", "x"};
    CHECK_HAS("\x1b[31mnightly\x1b[0m  34 ms  x\n", show(cells, 3, 24, true));
}

TEST(a_cell_cannot_move_the_cursor)
{
    const char *const cells[] = {"a\x1b[2Jb\r\nc", "\xff", "\xc2\x9b"};
    CHECK_HAS("a?[2Jb  c", show(cells, 3, 0, false));
    CHECK(!strchr(shown, '\x1b'));
    CHECK(!strstr(shown, "\xff"));
    CHECK(!strstr(shown, "\xc2\x9b")); // CSI in one character
}

TEST(long_words_are_wrapped_at_spaces_below_their_beginning)
{
    struct buffer b;
    buffer_init(&b, 1000);
    text_wrap(&b, "kind is daily or monthly", 4, 18);
    CHECK_TEXT("kind is daily\n    or monthly", buffer_string(&b));
    buffer_clear(&b);
    text_wrap(&b, "https://example.com/long", 4, 16);
    CHECK_TEXT("https://exam\n    ple.com/long", buffer_string(&b));
    buffer_clear(&b);
    text_wrap(&b, "as it is, however long that may be", 4, 0);
    CHECK_TEXT("as it is, however long that may be", buffer_string(&b));
    buffer_done(&b);
}

TESTS_MAIN
