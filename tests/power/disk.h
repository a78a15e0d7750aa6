/*
 * disk - a disk in memory that remembers what was done to it
 *
 * Three files: the store's own, its log, its rollback journal. What SQLite reads is what was last
 * written (the system's cache); what a power cut would leave is another matter, which platter.h
 * works out from the log of operations kept here. A disk may also fail, lie or die: the n-th call
 * of a kind answers an error, a sync does nothing, every call fails from now on as if the process
 * were gone.
 *
 * It knows neither SQLite nor the store: vfs.h puts it under SQLite.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum file_name { FILE_MAIN, FILE_LOG, FILE_JOURNAL, FILE_NAMES };
const char *file_name_text(enum file_name name);

// What a disk holds, without its history: what a power cut leaves.
struct image {
    struct {
        bool there;
        char *bytes;
        size_t size;
    } files[FILE_NAMES];
};
void image_done(struct image *image);

enum op_kind {
    OP_CREATE,   // a name, and a new inode behind it
    OP_WRITE,    // size bytes at `at`
    OP_TRUNCATE, // to `at`
    OP_SYNC,     // of one inode
    OP_LOST,     // a sync that failed: the system forgets what it was to write
    OP_DELETE,   // of a name
    OP_FOLDER,   // a sync of the folder
    OP_REPLACED, // the power came back: `image` is all there is
    // Not of the disk: what the store's user knew at that moment. `at` is a turn's serial number.
    OP_TRYING,   // commit was called
    OP_ANSWERED, // commit answered STATUS_OK
    OP_FOUND,    // the store came up with that turn as its last
    OP_KINDS
};
const char *op_kind_text(enum op_kind kind);

struct op {
    enum op_kind kind;
    enum file_name name;
    int inode;
    int64_t at;
    size_t size;
    char *bytes;
    struct image image;
};

// Calls of SQLite that can be made to fail.
enum call {
    CALL_OPEN,
    CALL_DELETE,
    CALL_ACCESS,
    CALL_READ,
    CALL_WRITE,
    CALL_TRUNCATE,
    CALL_SYNC,
    CALL_FILE_SIZE,
    CALL_LOCK,
    CALL_SHM_MAP,
    CALL_SHM_LOCK,
    CALL_MEMORY, // not of the disk: an allocation of SQLite's (memory.h)
    CALLS
};
const char *call_text(enum call call);

struct strike {
    enum call call;
    int64_t nth; // counts from 1; 0: none
    bool forever;
    int code; // what SQLite is told
};

struct inode {
    char *bytes;
    size_t size, capacity;
};

#define DISK_REGIONS 64
#define DISK_REGION_BYTES 32768

struct handle; // of vfs.c

struct disk {
    int names[FILE_NAMES]; // inode, -1: no such file
    struct inode *inodes;
    int inode_count;

    bool recording;
    struct op *ops;
    size_t op_count, op_capacity;

    struct strike strike;
    int64_t calls[CALLS]; // so far
    bool struck;          // the strike has been met
    unsigned lies;        // a bit for each file_name: its syncs do nothing
    bool folder_lies;     // syncs of the folder do nothing
    bool dead;            // the process is gone: every call fails
    int64_t dies_after;   // so many more operations; -1: lives on
    int64_t changes;      // operations that reached the disk, syncs too

    struct handle *handles;      // open files
    char *regions[DISK_REGIONS]; // shared memory of the log's index
};

// A disk with one empty file, as sqlite_file.c makes it before SQLite sees it.
struct disk *disk_new(void);
struct disk *disk_from(const struct image *image);
void disk_free(struct disk *disk); // NULL is fine

// Counts the call. What it must answer instead of doing its work; 0: nothing is wrong.
int disk_strike(struct disk *disk, enum call call);

// The operations. False where the process died before it.
bool disk_create(struct disk *disk, enum file_name name);
bool disk_write(struct disk *disk, int inode, enum file_name name, int64_t at, const void *bytes,
                size_t size);
bool disk_truncate(struct disk *disk, int inode, enum file_name name, int64_t size);
bool disk_sync(struct disk *disk, int inode, enum file_name name);
void disk_lose(struct disk *disk, int inode, enum file_name name);
bool disk_sync_folder(struct disk *disk);
bool disk_delete(struct disk *disk, enum file_name name);

// Takes the power: the disk now holds `image`, which stays the caller's.
void disk_replace(struct disk *disk, const struct image *image);
// Notes what the store's user knows.
void disk_note(struct disk *disk, enum op_kind kind, int64_t serial);
// What the files read as now.
void disk_read_all(const struct disk *disk, struct image *ret);
