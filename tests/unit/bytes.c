#include "server/bytes.h"

#include "test.h"

TEST(sizes_are_read_as_people_write_them)
{
    static const struct {
        const char *text;
        int64_t bytes; // -1: makes no sense
    } rows[] = {
        {"0", 0},
        {"1048576", 1 << 20},
        {"64KiB", 64 << 10},
        {"512MiB", 512 << 20},
        {"10GiB", INT64_C(10) << 30},
        {"1TiB", INT64_C(1) << 40},
        {"", -1},
        {"GiB", -1},
        {"10GB", -1},
        {"1.5GiB", -1},
        {"-1", -1},
        {"10 GiB", -1},
        {"999999999999999TiB", -1},
        {"9999999999999999", -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t n = -1;
        test_row = rows[i].text;
        enum status status = size_parse(rows[i].text, strlen(rows[i].text), &n);
        CHECK_INT(rows[i].bytes < 0 ? STATUS_INVALID : STATUS_OK, status);
        CHECK_INT(rows[i].bytes, n);
    }
}

TESTS_MAIN
