// The log as the writer writes it: gathered, and in the file before anybody relies on it.
#include "store/log_file.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test.h"

static char path[64];
static sqlite3_file *file;

static void open_log(int flags)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(log_file_vfs());
    int made = 0;
    CHECK(vfs);
    snprintf(path, sizeof path, "/tmp/logXXXXXX");
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    file = calloc(1, (size_t)vfs->szOsFile);
    flags |= SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    CHECK_INT(SQLITE_OK, vfs->xOpen(vfs, path, file, flags, &made));
}

static void close_log(void)
{
    CHECK_INT(SQLITE_OK, file->pMethods->xClose(file));
    free(file);
    unlink(path);
}

static void put(const char *text, int64_t at)
{
    CHECK_INT(SQLITE_OK, file->pMethods->xWrite(file, text, (int)strlen(text), at));
}

static int64_t size_on_disk(void)
{
    struct stat about;
    CHECK_INT(0, stat(path, &about));
    return about.st_size;
}

static const char *on_disk(void)
{
    static char text[100];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = read(fd, text, sizeof text - 1);
    close(fd);
    text[size > 0 ? size : 0] = '\0';
    return text;
}

TEST(pieces_are_in_the_file_once_it_is_synced)
{
    open_log(SQLITE_OPEN_WAL);
    put("one ", 0);
    put("two ", 4);
    put("three", 8);
    CHECK_INT(0, size_on_disk());
    CHECK_INT(SQLITE_OK, file->pMethods->xSync(file, SQLITE_SYNC_NORMAL));
    CHECK_TEXT("one two three", on_disk());
    close_log();
}

TEST(what_is_written_elsewhere_comes_after_what_was_gathered)
{
    open_log(SQLITE_OPEN_WAL);
    put("one two ", 0);
    put("ONE", 0); // over what is gathered
    put("!", 8);   // behind a gap
    CHECK_INT(SQLITE_OK, file->pMethods->xSync(file, SQLITE_SYNC_NORMAL));
    CHECK_TEXT("ONE two !", on_disk());
    close_log();
}

TEST(a_read_a_size_and_a_cut_see_what_is_gathered)
{
    open_log(SQLITE_OPEN_WAL);
    char text[5] = "";
    sqlite3_int64 size = 0;
    put("one two", 0);
    CHECK_INT(SQLITE_OK, file->pMethods->xRead(file, text, 3, 4));
    CHECK_TEXT("two", text);
    put(" more", 7);
    CHECK_INT(SQLITE_OK, file->pMethods->xFileSize(file, &size));
    CHECK_INT(12, size);
    put(" still", 12);
    CHECK_INT(SQLITE_OK, file->pMethods->xTruncate(file, 9));
    CHECK_TEXT("one two m", on_disk());
    close_log();
}

TEST(a_long_turn_is_written_on_the_way)
{
    open_log(SQLITE_OPEN_WAL);
    static char page[4096];
    memset(page, 'p', sizeof page);
    for (int64_t i = 0; i < 100; i++)
        CHECK_INT(SQLITE_OK, file->pMethods->xWrite(file, page, sizeof page, i * 4096));
    CHECK(size_on_disk() > 200 << 10);
    CHECK_INT(SQLITE_OK, file->pMethods->xSync(file, SQLITE_SYNC_NORMAL));
    CHECK_INT(100 * 4096, size_on_disk());
    close_log();
}

TEST(what_was_never_synced_is_not_written_at_the_close)
{
    open_log(SQLITE_OPEN_WAL);
    put("of a turn that failed", 0);
    CHECK_INT(SQLITE_OK, file->pMethods->xClose(file));
    CHECK_TEXT("", on_disk());
    free(file);
    unlink(path);
}

TEST(other_files_are_written_at_once)
{
    open_log(SQLITE_OPEN_MAIN_DB);
    put("page", 0);
    CHECK_TEXT("page", on_disk());
    close_log();
}

TESTS_MAIN
