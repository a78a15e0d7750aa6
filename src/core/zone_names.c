#include "core/zone_names.h"

#include <dirent.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/memory.h"

#define NAMES_MAX 2000
#define LENGTH_MAX 64
#define DEPTH_MAX 3
#define FAR 3

static pthread_once_t listed = PTHREAD_ONCE_INIT;
static char *names[NAMES_MAX];
static size_t name_count;

const char *zone_folder(void)
{
    const char *folder = getenv("TZDIR");
    return folder && *folder ? folder : "/usr/share/zoneinfo";
}

// Copies of all zones, files that are none ("zone.tab", "leapseconds"), and the hidden.
static bool is_other(const char *entry)
{
    return strchr(entry, '.') || strcmp(entry, "posix") == 0 || strcmp(entry, "right") == 0 ||
           strcmp(entry, "leapseconds") == 0 || strcmp(entry, "posixrules") == 0 ||
           strcmp(entry, "localtime") == 0;
}

static void list(const char *below, int depth)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", zone_folder(), below);
    DIR *folder = opendir(path);
    struct dirent *entry;
    while (folder && (entry = readdir(folder)) && name_count < NAMES_MAX) {
        char name[LENGTH_MAX], file[4096];
        struct stat about;
        int length = snprintf(name, sizeof name, "%s%s%s", below, *below ? "/" : "", entry->d_name);
        int written = snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        if (is_other(entry->d_name) || length < 0 || length >= LENGTH_MAX || written < 0 ||
            (size_t)written >= sizeof file || stat(file, &about) != 0)
            continue;
        if (S_ISDIR(about.st_mode) && depth < DEPTH_MAX)
            list(name, depth + 1);
        else if (S_ISREG(about.st_mode))
            names[name_count++] = memory_text(name);
    }
    if (folder)
        closedir(folder);
}

static void list_all(void)
{
    list("", 1);
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

static int lower(char c)
{
    return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

// How many letters must be changed, added or taken away (Levenshtein), case aside; FAR where the
// lengths say so.
static int distance(const char *a, const char *b)
{
    int row[LENGTH_MAX + 1];
    int a_length = (int)strlen(a), b_length = (int)strlen(b);
    if (abs(a_length - b_length) >= FAR || b_length > LENGTH_MAX)
        return FAR;
    for (int j = 0; j <= b_length; j++)
        row[j] = j;
    for (int i = 1; i <= a_length; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= b_length; j++) {
            int change = diagonal + (lower(a[i - 1]) != lower(b[j - 1]));
            diagonal = row[j];
            row[j] = least(change, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[b_length];
}

const char *zone_near(const char *name)
{
    const char *best = NULL;
    int best_distance = FAR;
    pthread_once(&listed, list_all);
    if (strlen(name) < 3 || strlen(name) > LENGTH_MAX)
        return NULL;
    for (size_t i = 0; i < name_count; i++) {
        const char *last = strrchr(names[i], '/');
        int d = last && strcasecmp(last + 1, name) == 0 ? 1 : distance(name, names[i]);
        // Of two equally near ones the first by name, whatever the folder's order.
        if (d < best_distance || (best && d == best_distance && strcmp(names[i], best) < 0)) {
            best = names[i];
            best_distance = d;
        }
    }
    return best;
}
