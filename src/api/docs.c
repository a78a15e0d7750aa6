// GET /openapi.json and /docs: both stand in the program.

#include <microhttpd.h>

#include "api/handlers.h"
#include "api/pages.h"
#include "api/request.h"

// The page loads nothing but /openapi.json; its own script and style stand in it.
#define POLICY                                                                       \
    "default-src 'none'; connect-src 'self'; script-src 'unsafe-inline'; style-src " \
    "'unsafe-inline'; "                                                              \
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

static void answer_page(struct request *r, const char *page, uint64_t size, const char *type)
{
    // Bytes of the program: libmicrohttpd only reads them, whatever its declaration says.
    struct MHD_Response *response = MHD_create_response_from_buffer(
        (size_t)size, (void *)(uintptr_t)page, MHD_RESPMEM_PERSISTENT);
    if (!response) {
        request_refuse(r, PROBLEM_FAILED, "no memory for the page");
        return;
    }
    MHD_add_response_header(response, "Content-Type", type);
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "Cache-Control", "no-cache");
    MHD_add_response_header(response, "Content-Security-Policy", POLICY);
    r->answer.code = 200;
    r->answer.whole = response;
}

void openapi_get(struct request *r)
{
    answer_page(r, page_openapi, page_openapi_size, "application/json");
}

void docs_get(struct request *r)
{
    answer_page(r, page_docs, page_docs_size, "text/html; charset=utf-8");
}
