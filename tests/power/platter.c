#include "platter.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/memory.h"

#define SECTOR 512

const char *cut_text(enum cut cut)
{
    static const char *const texts[] = {"dropped", "kept",   "torn at an odd byte",
                                        "prefix",  "subset", "torn sectors"};
    return texts[cut];
}

struct content {
    char *bytes;
    size_t size;
};

struct platter {
    int names[FILE_NAMES];  // as the synced folder has them
    struct content *synced; // by inode
    int inode_count;
    const struct op **pending; // in their order: of all inodes, and of the folder
    size_t count, capacity;
};

// --- contents ---

static void resize(struct content *content, size_t size)
{
    content->bytes = memory_resize(content->bytes, size ? size : 1, 1);
    if (size > content->size)
        memset(content->bytes + content->size, 0, size - content->size);
    content->size = size;
}

static void put(struct content *content, int64_t at, const char *bytes, size_t size)
{
    if (!size)
        return;
    if ((size_t)at + size > content->size)
        resize(content, (size_t)at + size);
    memcpy(content->bytes + at, bytes, size);
}

static void apply(struct content *content, const struct op *op)
{
    if (op->kind == OP_WRITE)
        put(content, op->at, op->bytes, op->size);
    else
        resize(content, (size_t)op->at);
}

// Each sector of the write comes through or does not.
static void apply_torn(struct content *content, const struct op *op, struct random *chance)
{
    if (op->kind != OP_WRITE) {
        apply(content, op);
        return;
    }
    for (size_t from = 0; from < op->size;) {
        size_t end = from + SECTOR - ((size_t)op->at + from) % SECTOR;
        if (end > op->size)
            end = op->size;
        if (random_below(chance, 2))
            put(content, op->at + (int64_t)from, op->bytes + from, end - from);
        from = end;
    }
}

// --- following ---

static int add_inode(struct platter *p, const char *bytes, size_t size)
{
    p->synced = memory_resize(p->synced, (size_t)p->inode_count + 1, sizeof *p->synced);
    p->synced[p->inode_count] = (struct content){size ? memory_copy(bytes, size) : NULL, size};
    return p->inode_count++;
}

static void put_image(struct platter *p, const struct image *image)
{
    for (int i = 0; i < FILE_NAMES; i++)
        p->names[i] =
            image->files[i].there ? add_inode(p, image->files[i].bytes, image->files[i].size) : -1;
}

struct platter *platter_new(const struct image *image)
{
    struct platter *p = memory_new(sizeof *p);
    put_image(p, image);
    return p;
}

void platter_free(struct platter *p)
{
    if (!p)
        return;
    for (int i = 0; i < p->inode_count; i++)
        free(p->synced[i].bytes);
    free(p->synced);
    free(p->pending);
    free(p);
}

static bool is_of_folder(const struct op *op)
{
    return op->kind == OP_CREATE || op->kind == OP_DELETE;
}

static void wait_for_sync(struct platter *p, const struct op *op)
{
    if (p->count == p->capacity) {
        p->capacity = p->capacity ? 2 * p->capacity : 64;
        p->pending = memory_resize(p->pending, p->capacity, sizeof(struct op *));
    }
    p->pending[p->count++] = op;
}

// Of what a failed sync forgets, some had reached the disk before: which is as good as chance, but
// the same at every look.
static bool was_early(const struct op *op)
{
    return hash_bytes(&op->at, sizeof op->at) & 1;
}

// A sync of `inode`, or of the folder where it is below 0. `lost`: it failed.
static void settle(struct platter *p, int inode, bool lost)
{
    size_t left = 0;
    for (size_t i = 0; i < p->count; i++) {
        const struct op *op = p->pending[i];
        if (is_of_folder(op) ? inode >= 0 : op->inode != inode)
            p->pending[left++] = op;
        else if (is_of_folder(op))
            p->names[op->name] = op->kind == OP_CREATE ? op->inode : -1;
        else if (!lost || was_early(op))
            apply(&p->synced[inode], op);
    }
    p->count = left;
}

void platter_follow(struct platter *p, const struct op *op)
{
    switch (op->kind) {
    case OP_CREATE:
        add_inode(p, "", 0);
        wait_for_sync(p, op);
        break;
    case OP_WRITE:
    case OP_TRUNCATE:
    case OP_DELETE:
        wait_for_sync(p, op);
        break;
    case OP_SYNC:
    case OP_LOST:
        settle(p, op->inode, op->kind == OP_LOST);
        break;
    case OP_FOLDER:
        settle(p, -1, false);
        break;
    case OP_REPLACED:
        p->count = 0;
        put_image(p, &op->image);
        break;
    default:
        break;
    }
}

size_t platter_pending(const struct platter *p)
{
    return p->count;
}

// --- cutting ---

struct fate { // of what is pending
    enum cut cut;
    size_t until; // CUT_PREFIX: how many come through
    int64_t keep; // CUT_SUBSET, CUT_TORN: how many of 8
    struct random *chance;
};

static bool comes_through(const struct fate *fate, size_t i)
{
    switch (fate->cut) {
    case CUT_DROPPED:
        return false;
    case CUT_PREFIX:
        return i < fate->until;
    case CUT_SUBSET:
    case CUT_TORN:
        return random_below(fate->chance, 8) < fate->keep;
    default:
        return true;
    }
}

static void cut_one(const struct platter *p, const struct fate *fate, size_t i, int *names,
                    struct content *contents)
{
    const struct op *op = p->pending[i];
    bool last = i + 1 == p->count;
    if (!comes_through(fate, i))
        return;
    if (is_of_folder(op))
        names[op->name] = op->kind == OP_CREATE ? op->inode : -1;
    else if (fate->cut == CUT_TORN)
        apply_torn(&contents[op->inode], op, fate->chance);
    else if (fate->cut == CUT_ODD && last && op->kind == OP_WRITE)
        put(&contents[op->inode], op->at, op->bytes,
            (size_t)random_below(fate->chance, (int64_t)op->size));
    else
        apply(&contents[op->inode], op);
}

void platter_cut(const struct platter *p, enum cut cut, struct random *chance, struct image *ret)
{
    struct fate fate = {cut, (size_t)random_below(chance, (int64_t)p->count + 1),
                        1 + random_below(chance, 7), chance};
    struct content *contents = memory_array((size_t)p->inode_count, sizeof *contents);
    int names[FILE_NAMES];
    memcpy(names, p->names, sizeof names);
    for (int i = 0; i < p->inode_count; i++)
        put(&contents[i], 0, p->synced[i].bytes, p->synced[i].size);
    for (size_t i = 0; i < p->count; i++)
        cut_one(p, &fate, i, names, contents);
    *ret = (struct image){0};
    for (int i = 0; i < FILE_NAMES; i++) {
        if (names[i] < 0)
            continue;
        struct content *content = &contents[names[i]];
        ret->files[i].there = true;
        ret->files[i].size = content->size;
        ret->files[i].bytes = memory_copy(content->size ? content->bytes : "", content->size);
    }
    for (int i = 0; i < p->inode_count; i++)
        free(contents[i].bytes);
    free(contents);
}
