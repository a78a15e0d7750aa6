#include "disk.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

const char *file_name_text(enum file_name name)
{
    static const char *const texts[] = {"file", "log", "journal"};
    return texts[name];
}

const char *op_kind_text(enum op_kind kind)
{
    static const char *const texts[] = {
        "create", "write",       "truncate", "sync",   "failed sync", "delete",
        "folder", "power is on", "trying",   "answer", "found",
    };
    return texts[kind];
}

const char *call_text(enum call call)
{
    static const char *const texts[] = {
        "xOpen", "xDelete",   "xAccess", "xRead",   "xWrite",   "xTruncate",
        "xSync", "xFileSize", "xLock",   "xShmMap", "xShmLock", "xMalloc",
    };
    return texts[call];
}

void image_done(struct image *image)
{
    for (int i = 0; i < FILE_NAMES; i++)
        free(image->files[i].bytes);
    *image = (struct image){0};
}

// --- a disk ---

static int add_inode(struct disk *disk, const char *bytes, size_t size)
{
    disk->inodes = memory_resize(disk->inodes, (size_t)disk->inode_count + 1, sizeof *disk->inodes);
    disk->inodes[disk->inode_count] =
        (struct inode){size ? memory_copy(bytes, size) : NULL, size, size};
    return disk->inode_count++;
}

static struct disk *empty_disk(void)
{
    struct disk *disk = memory_new(sizeof *disk);
    for (int i = 0; i < FILE_NAMES; i++)
        disk->names[i] = -1;
    disk->dies_after = -1;
    return disk;
}

struct disk *disk_new(void)
{
    struct disk *disk = empty_disk();
    disk->names[FILE_MAIN] = add_inode(disk, "", 0);
    return disk;
}

static void put_image(struct disk *disk, const struct image *image)
{
    for (int i = 0; i < FILE_NAMES; i++)
        disk->names[i] = image->files[i].there
                             ? add_inode(disk, image->files[i].bytes, image->files[i].size)
                             : -1;
}

struct disk *disk_from(const struct image *image)
{
    struct disk *disk = empty_disk();
    put_image(disk, image);
    return disk;
}

void disk_free(struct disk *disk)
{
    if (!disk)
        return;
    for (int i = 0; i < disk->inode_count; i++)
        free(disk->inodes[i].bytes);
    for (size_t i = 0; i < disk->op_count; i++) {
        free(disk->ops[i].bytes);
        image_done(&disk->ops[i].image);
    }
    for (int i = 0; i < DISK_REGIONS; i++)
        free(disk->regions[i]);
    free(disk->inodes);
    free(disk->ops);
    free(disk);
}

int disk_strike(struct disk *disk, enum call call)
{
    const struct strike *strike = &disk->strike;
    int64_t count = ++disk->calls[call];
    if (call != strike->call || !strike->nth || count < strike->nth)
        return 0;
    if (count > strike->nth && !strike->forever)
        return 0;
    disk->struck = true;
    return strike->code;
}

// --- operations ---

static struct op *note(struct disk *disk, struct op op)
{
    if (!disk->recording)
        return NULL;
    if (disk->op_count == disk->op_capacity) {
        disk->op_capacity = disk->op_capacity ? 2 * disk->op_capacity : 256;
        disk->ops = memory_resize(disk->ops, disk->op_capacity, sizeof *disk->ops);
    }
    disk->ops[disk->op_count] = op;
    return &disk->ops[disk->op_count++];
}

static bool lives(struct disk *disk)
{
    if (disk->dead)
        return false;
    if (disk->dies_after == 0) {
        disk->dead = true;
        return false;
    }
    if (disk->dies_after > 0)
        disk->dies_after--;
    disk->changes++;
    return true;
}

bool disk_create(struct disk *disk, enum file_name name)
{
    if (!lives(disk))
        return false;
    disk->names[name] = add_inode(disk, "", 0);
    note(disk, (struct op){.kind = OP_CREATE, .name = name, .inode = disk->names[name]});
    return true;
}

// What lies between the old end and the new one reads as zeros.
static void resize(struct inode *inode, size_t size)
{
    if (size > inode->capacity) {
        inode->capacity = size + size / 2;
        inode->bytes = memory_resize(inode->bytes, inode->capacity, 1);
    }
    if (size > inode->size)
        memset(inode->bytes + inode->size, 0, size - inode->size);
    inode->size = size;
}

bool disk_write(struct disk *disk, int inode, enum file_name name, int64_t at, const void *bytes,
                size_t size)
{
    if (!lives(disk))
        return false;
    struct inode *i = &disk->inodes[inode];
    if ((size_t)at + size > i->size)
        resize(i, (size_t)at + size);
    if (size)
        memcpy(i->bytes + at, bytes, size);
    struct op *op = note(
        disk, (struct op){.kind = OP_WRITE, .name = name, .inode = inode, .at = at, .size = size});
    if (op)
        op->bytes = memory_copy(bytes, size);
    return true;
}

bool disk_truncate(struct disk *disk, int inode, enum file_name name, int64_t size)
{
    if (!lives(disk))
        return false;
    resize(&disk->inodes[inode], (size_t)size);
    note(disk, (struct op){.kind = OP_TRUNCATE, .name = name, .inode = inode, .at = size});
    return true;
}

bool disk_sync(struct disk *disk, int inode, enum file_name name)
{
    if (!lives(disk))
        return false;
    if (!(disk->lies >> name & 1))
        note(disk, (struct op){.kind = OP_SYNC, .name = name, .inode = inode});
    return true;
}

void disk_lose(struct disk *disk, int inode, enum file_name name)
{
    note(disk, (struct op){.kind = OP_LOST, .name = name, .inode = inode});
}

bool disk_sync_folder(struct disk *disk)
{
    if (!lives(disk))
        return false;
    if (!disk->folder_lies)
        note(disk, (struct op){.kind = OP_FOLDER});
    return true;
}

bool disk_delete(struct disk *disk, enum file_name name)
{
    if (!lives(disk))
        return false;
    note(disk, (struct op){.kind = OP_DELETE, .name = name, .inode = disk->names[name]});
    disk->names[name] = -1;
    return true;
}

static void copy_image(const struct image *from, struct image *ret)
{
    *ret = *from;
    for (int i = 0; i < FILE_NAMES; i++)
        if (from->files[i].there)
            ret->files[i].bytes = memory_copy(from->files[i].bytes, from->files[i].size);
}

void disk_replace(struct disk *disk, const struct image *image)
{
    int first = disk->inode_count;
    put_image(disk, image);
    struct op *op = note(disk, (struct op){.kind = OP_REPLACED, .inode = first});
    if (op)
        copy_image(image, &op->image);
}

void disk_note(struct disk *disk, enum op_kind kind, int64_t serial)
{
    note(disk, (struct op){.kind = kind, .at = serial});
}

void disk_read_all(const struct disk *disk, struct image *ret)
{
    struct image now = {0};
    for (int i = 0; i < FILE_NAMES; i++) {
        if (disk->names[i] < 0)
            continue;
        const struct inode *inode = &disk->inodes[disk->names[i]];
        now.files[i].there = true;
        now.files[i].bytes = inode->bytes;
        now.files[i].size = inode->size;
    }
    copy_image(&now, ret);
}
