#include "dispatch/trust.h"

#include <stdlib.h>

CURLcode trust_set(CURL *easy)
{
    const char *file = getenv("SSL_CERT_FILE");
    return file && *file ? curl_easy_setopt(easy, CURLOPT_CAINFO, file) : CURLE_OK;
}
