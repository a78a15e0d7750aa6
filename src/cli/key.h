/*
 * key - an Idempotency-Key nobody has used
 */
#pragma once

#define KEY_TEXT 33

// 128 random bits in hexadecimal.
void key_make(char text[static KEY_TEXT]);
