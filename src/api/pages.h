/*
 * pages - the documents inside the program
 *
 * web/openapi.json and web/docs.html as bytes, put in by tools/embed-pages when the program is
 * built.
 */
#pragma once

#include <stdint.h>

extern const char page_openapi[], page_docs[];
extern const uint64_t page_openapi_size, page_docs_size;
