#include "cli/nearest.h"

#include <limits.h>
#include <string.h>

#define LONGEST 40

static int least(int a, int b)
{
    return a < b ? a : b;
}

// Three rows of the usual table are enough: this one and, for swaps, the two above.
static int count_slips(const char *a, const char *b)
{
    int rows[3][LONGEST + 1];
    int wide = (int)strlen(b);
    for (int j = 0; j <= wide; j++)
        rows[0][j] = j;
    int i = 1;
    for (; a[i - 1]; i++) {
        int *row = rows[i % 3], *above = rows[(i + 2) % 3], *two_above = rows[(i + 1) % 3];
        row[0] = i;
        for (int j = 1; j <= wide; j++) {
            int change = above[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = least(change, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], two_above[j - 2] + 1);
        }
    }
    return rows[(i - 1) % 3][wide];
}

struct nearest nearest_to(const char *given)
{
    return (struct nearest){.given = given, .slips = INT_MAX};
}

void nearest_try(struct nearest *nearest, const char *name)
{
    size_t length = strlen(nearest->given);
    if (length == 0 || length > LONGEST || strlen(name) > LONGEST)
        return;
    int slips = count_slips(nearest->given, name);
    // A beginning of the name is what somebody types who expects it to be completed.
    if (length >= 2 && strncmp(name, nearest->given, length) == 0)
        slips = least(slips, 1);
    int allowed = length <= 3 ? 1 : (int)length / 3 + 1;
    if (slips <= allowed && slips < nearest->slips) {
        nearest->best = name;
        nearest->slips = slips;
    }
}
