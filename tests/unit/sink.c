#include "base/sink.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "test.h"

static struct buffer text_of(size_t size)
{
    struct buffer b;
    buffer_init(&b, SIZE_MAX);
    memset(buffer_space(&b, size), 'x', size);
    return b;
}

// Its thread never ends, so it is never let go of.
static struct sink full = SINK_TO(-1), slow = SINK_TO(-1);

TEST(a_reader_that_does_not_read_is_not_waited_for)
{
    int ends[2];
    CHECK_INT(0, pipe2(ends, O_CLOEXEC));
    full.fd = ends[1];
    sink_start(&full);
    struct buffer piece = text_of(1 << 20);
    int taken = 0;
    while (taken < 100 && sink_put(&full, &piece))
        taken++;
    CHECK(taken >= 4 && taken < 12);
    buffer_done(&piece);
}

TEST(what_was_taken_arrives_whole_and_in_order)
{
    int ends[2];
    char got[4096];
    size_t total = 0;
    bool same = true;
    CHECK_INT(0, pipe2(ends, O_CLOEXEC));
    slow.fd = ends[1];
    sink_start(&slow);
    for (int i = 0; i < 26; i++) {
        struct buffer piece = text_of(10000);
        memset(piece.data, 'a' + i, piece.size);
        CHECK(sink_put(&slow, &piece));
        buffer_done(&piece);
    }
    while (total < 260000) {
        ssize_t size = read(ends[0], got, sizeof got);
        CHECK(size > 0);
        for (ssize_t i = 0; i < size; i++, total++)
            same &= got[i] == (char)('a' + total / 10000);
    }
    CHECK(same);
    sink_finish(&slow);
    CHECK_INT(0, (int)slow.waiting.size);
}

TEST(a_plain_file_is_written_at_once)
{
    char path[] = "/tmp/punctual-sink-XXXXXX";
    struct sink sink = SINK_TO(mkostemp(path, O_CLOEXEC));
    struct buffer piece = text_of(5);
    CHECK(sink.fd >= 0);
    unlink(path);
    sink_start(&sink);
    CHECK(sink_put(&sink, &piece));
    CHECK_INT(5, (int)lseek(sink.fd, 0, SEEK_CUR));
    buffer_done(&piece);
    close(sink.fd);
}

TESTS_MAIN
