/*
 * zone_names - which time zone somebody may have meant
 *
 * For messages only: "Europe/berlin is not known: do you mean Europe/Berlin?". The names are listed
 * once, when the first one is asked for, from the folder that core/zone reads, and kept. Any
 * thread.
 */
#pragma once

// The nearest name: the same but for case, or the last part of one ("Berlin"), or one with at most
// two letters other, too many or missing. NULL where nothing is near. Never to be freed.
const char *zone_near(const char *name);

// The folder of the zones: $TZDIR, else the system's.
const char *zone_folder(void);
