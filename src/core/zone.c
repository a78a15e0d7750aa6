#include "core/zone.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/map.h"
#include "base/memory.h"
#include "core/tzif.h"
#include "core/zone_names.h"

#define NAME_MAX_LENGTH 64

struct zone {
    char *name;
    struct tzif times;
    struct zone *next; // in the table: another zone whose name has the same hash
};

// --- the table of all zones asked for ---

static pthread_mutex_t zones_lock = PTHREAD_MUTEX_INITIALIZER;
static struct map zones; // hash of the name to struct zone; never shrinks

static struct zone *zone_utc(const char *name)
{
    struct zone *zone = memory_new(sizeof *zone);
    zone->name = memory_text(name);
    zone->times.count = zone->times.table_count = 1;
    zone->times.starts = memory_array(1, sizeof *zone->times.starts);
    zone->times.kinds = memory_array(1, sizeof *zone->times.kinds);
    zone->times.table = memory_array(1, sizeof *zone->times.table);
    zone->times.starts[0] = INT64_MIN;
    memcpy(zone->times.table[0].abbreviation, "UTC", 4);
    return zone;
}

// What tzdata's names are made of. No dot, so no "..": a name cannot leave the folder.
static bool is_name(const char *name)
{
    size_t length = strlen(name);
    if (length == 0 || length > NAME_MAX_LENGTH || name[0] == '/' || name[length - 1] == '/' ||
        strstr(name, "//"))
        return false;
    for (const char *p = name; *p; p++)
        if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
              *p == '_' || *p == '+' || *p == '-' || *p == '/'))
            return false;
    return true;
}

static enum status read_all(int fd, struct buffer *into)
{
    char piece[16384];
    for (;;) {
        ssize_t n = read(fd, piece, sizeof piece);
        if (n < 0)
            return STATUS_INVALID;
        if (n == 0)
            return into->overflow ? STATUS_INVALID : STATUS_OK;
        buffer_add(into, piece, (size_t)n);
        if (into->overflow)
            return STATUS_INVALID;
    }
}

static enum status load(const char *name, struct zone **ret)
{
    char path[4096];
    int length = snprintf(path, sizeof path, "%s/%s", zone_folder(), name);
    if (length < 0 || (size_t)length >= sizeof path)
        return STATUS_NOT_FOUND;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // a pipe must not hold us
    if (fd < 0)
        return STATUS_NOT_FOUND;
    struct stat about;
    enum status status = STATUS_NOT_FOUND;
    struct buffer bytes;
    buffer_init(&bytes, TZIF_SIZE_MAX);
    if (fstat(fd, &about) == 0 && S_ISREG(about.st_mode))
        status = read_all(fd, &bytes);
    if (status == STATUS_OK)
        status = zone_read(name, buffer_string(&bytes), bytes.size, ret);
    buffer_done(&bytes);
    close(fd);
    return status;
}

enum status zone_find(const char *name, const struct zone **ret)
{
    if (!is_name(name))
        return STATUS_NOT_FOUND;
    uint64_t key = hash_bytes(name, strlen(name));
    enum status status = STATUS_OK;
    pthread_mutex_lock(&zones_lock);
    struct zone *first = map_get(&zones, key), *zone = first;
    while (zone && strcmp(zone->name, name) != 0)
        zone = zone->next;
    if (!zone) {
        if (strcmp(name, "UTC") == 0 || strcmp(name, "Etc/UTC") == 0)
            zone = zone_utc(name);
        else
            status = load(name, &zone);
        if (status == STATUS_OK) {
            zone->next = first;
            map_put(&zones, key, zone);
        }
    }
    pthread_mutex_unlock(&zones_lock);
    if (status == STATUS_OK)
        *ret = zone;
    return status;
}

const char *zone_name(const struct zone *zone)
{
    return zone->name;
}

enum status zone_read(const char *name, const void *bytes, size_t size, struct zone **ret)
{
    struct tzif times;
    enum status status = tzif_read(bytes, size, &times);
    if (status == STATUS_OK) {
        struct zone *zone = memory_new(sizeof *zone);
        zone->name = memory_text(name);
        zone->times = times;
        *ret = zone;
    }
    return status;
}

void zone_free(struct zone *zone)
{
    if (!zone)
        return;
    tzif_done(&zone->times);
    free(zone->name);
    free(zone);
}

// --- looking up ---

static int64_t seconds_of(int64_t us)
{
    return us / SECOND - (us % SECOND < 0);
}

// Which span holds the second.
static size_t span_at(const struct tzif *t, int64_t second)
{
    size_t low = 0, high = t->count; // the answer is in [low, high)
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (t->starts[middle] <= second)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static const struct tzif_kind *kind_of(const struct tzif *t, size_t span)
{
    return &t->table[t->kinds[span]];
}

int zone_offset(const struct zone *zone, wall t, const char **ret_abbreviation)
{
    const struct tzif_kind *kind = kind_of(&zone->times, span_at(&zone->times, seconds_of(t.us)));
    if (ret_abbreviation)
        *ret_abbreviation = kind->abbreviation;
    return kind->offset_s;
}

bool zone_next_change(const struct zone *zone, wall t, struct zone_change *ret)
{
    static const int64_t limit = INT64_C(13569465600); // 2400-01-01T00:00:00Z
    const struct tzif *times = &zone->times;
    size_t span = span_at(times, seconds_of(t.us));
    int before = kind_of(times, span)->offset_s;
    while (++span < times->count && times->starts[span] < limit) {
        int after = kind_of(times, span)->offset_s;
        if (after != before) { // otherwise only the abbreviation changes
            *ret = (struct zone_change){{times->starts[span] * SECOND}, before, after};
            return true;
        }
    }
    return false;
}

// A clock reading lies within TZ_OFFSET_MAX of the instant it means, so only the spans near it are
// tried: each for an instant that shows the reading, and each start for a jump over it.
struct local_meaning zone_from_local(const struct zone *zone, int64_t local_us)
{
    const struct tzif *t = &zone->times;
    int64_t local = seconds_of(local_us), hits[2], jump = 0;
    size_t hit_count = 0;
    bool jumped = false;
    size_t span = span_at(t, local - TZ_OFFSET_MAX);
    for (; span < t->count && t->starts[span] <= local + TZ_OFFSET_MAX && hit_count < 2; span++) {
        int64_t start = t->starts[span];
        int offset = kind_of(t, span)->offset_s;
        int64_t instant = local - offset;
        if (instant >= start && (span + 1 == t->count || instant < t->starts[span + 1]))
            hits[hit_count++] = local_us - offset * SECOND;
        if (span > 0 && !jumped && local >= start + kind_of(t, span - 1)->offset_s &&
            local < start + offset) {
            jumped = true;
            jump = start * SECOND;
        }
    }
    if (hit_count == 2)
        return (struct local_meaning){LOCAL_OVERLAP, {hits[0]}, {hits[1]}};
    if (hit_count == 1)
        return (struct local_meaning){LOCAL_UNIQUE, {hits[0]}, {hits[0]}};
    return (struct local_meaning){LOCAL_GAP, {jump}, {jump}};
}

// RFC 3339 has offsets in whole minutes; before 1972 some zones had seconds. There the offset is
// cut to minutes and the clock reading with it, so that the text still names the instant.
void zone_format(const struct zone *zone, wall t, char text[static ZONED_TEXT])
{
    int minutes = zone_offset(zone, t, NULL) / 60;
    char utc[MOMENT_TEXT];
    wall_format((wall){t.us + minutes * MINUTE}, utc);
    int size = minutes < 0 ? -minutes : minutes;
    memcpy(text, utc, 19);
    text[19] = minutes < 0 ? '-' : '+';
    text[20] = (char)('0' + size / 600);
    text[21] = (char)('0' + size / 60 % 10);
    text[22] = ':';
    text[23] = (char)('0' + size % 60 / 10);
    text[24] = (char)('0' + size % 10);
    text[25] = '\0';
}
