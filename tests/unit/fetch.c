#include "dispatch/fetch.h"

#include "dispatching.h"

static struct endpoint endpoint;
static struct fetch request;

static void begin_fetch(const char *answer)
{
    endpoint_start(&endpoint, answer);
    endpoint.closes = true;
    request = (struct fetch){.method = "GET", .url = endpoint.url, .timeout_ms = 5000};
    buffer_init(&request.answer, 1000);
    buffer_init(&request.etag, 100);
}

static void end_fetch(void)
{
    endpoint_stop(&endpoint);
    buffer_done(&request.answer);
    buffer_done(&request.etag);
}

TEST(an_answer_comes_back_with_status_body_and_etag)
{
    begin_fetch("HTTP/1.1 404 Not Found\r\nETag: \"3\"\r\nContent-Length: 4\r\n\r\nnone");
    const char *const headers[] = {"Authorization: Bearer made-up", "If-Match: \"2\"", NULL};
    request.headers = headers;
    CHECK_INT(STATUS_OK, fetch(&request));
    CHECK_INT(404, request.status);
    CHECK_TEXT("none", buffer_string(&request.answer));
    CHECK_TEXT("\"3\"", buffer_string(&request.etag));
    CHECK_TEXT("Bearer made-up", seen_header(&endpoint, "Authorization"));
    CHECK_TEXT("\"2\"", seen_header(&endpoint, "If-Match"));
    end_fetch();
}

TEST(a_body_is_sent_with_the_method_asked_for)
{
    begin_fetch("HTTP/1.1 204 No Content\r\n\r\n");
    request.method = "PUT";
    request.body = "{}";
    request.body_size = 2;
    CHECK_INT(STATUS_OK, fetch(&request));
    CHECK_INT(204, request.status);
    CHECK(strncmp(buffer_string(&endpoint.seen), "PUT /hook ", 10) == 0);
    CHECK_TEXT("{}", seen_body(&endpoint));
    end_fetch();
}

TEST(this_machine_is_not_asked_for_through_a_proxy)
{
    begin_fetch("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    CHECK_INT(STATUS_OK, fetch(&request));
    unsetenv("http_proxy");
    end_fetch();
}

static bool take_piece(void *context, const char *bytes, size_t size)
{
    struct buffer *to = context;
    buffer_add(to, bytes, size);
    return to->size < 4;
}

TEST(pieces_are_handed_over_until_the_caller_has_enough)
{
    struct buffer pieces;
    buffer_init(&pieces, 1 << 20);
    begin_fetch("HTTP/1.1 200 OK\r\n\r\npiece");
    endpoint.endless = true;
    request.piece = take_piece;
    request.context = &pieces;
    CHECK_INT(STATUS_END, fetch(&request));
    CHECK(pieces.size >= 4);
    CHECK_INT(200, request.status);
    end_fetch();
    buffer_done(&pieces);
}

TEST(an_answer_beyond_the_limit_is_refused_in_words)
{
    begin_fetch("HTTP/1.1 200 OK\r\n\r\n0123456789");
    endpoint.endless = true;
    CHECK_INT(STATUS_FAILED, fetch(&request));
    CHECK_TEXT("the answer is larger than 1000 bytes", request.why);
    end_fetch();
}

TEST(no_answer_is_said_in_words)
{
    begin_fetch(NULL);
    request.url = "http://127.0.0.1:1/";
    CHECK_INT(STATUS_FAILED, fetch(&request));
    CHECK_HAS("127.0.0.1", request.why);
    CHECK_INT(0, request.status);
    request.url = endpoint.url;
    request.timeout_ms = 100;
    CHECK_INT(STATUS_FAILED, fetch(&request));
    CHECK(request.why[0]);
    request.url = "file:///etc/passwd";
    CHECK_INT(STATUS_FAILED, fetch(&request));
    CHECK(request.why[0]);
    end_fetch();
}

TESTS_MAIN
