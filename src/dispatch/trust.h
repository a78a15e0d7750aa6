/*
 * trust - whose certificates are believed
 *
 * Those of the file that $SSL_CERT_FILE names, as OpenSSL and most tools read it; where it is unset
 * or empty, those of libcurl's own choice, which is the system's where it was made. A program that
 * is carried to another system needs this: such files have a different place on each.
 *
 * The file is read for each connection, so a new one counts at once. Any thread.
 */
#pragma once

#include <curl/curl.h>

CURLcode trust_set(CURL *easy);
