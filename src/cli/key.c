#include "cli/key.h"

#include <stdio.h>

#include "dispatch/signature.h"

void key_make(char text[static KEY_TEXT])
{
    unsigned char bytes[(KEY_TEXT - 1) / 2];
    entropy(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
}
