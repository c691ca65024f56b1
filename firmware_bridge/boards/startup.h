/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* Between startup.c and what carries its exit status away. */
#ifndef ECGQA_BOARDS_STARTUP_H
#define ECGQA_BOARDS_STARTUP_H

enum { STARTUP_STATUS_FAULT = 70 };

_Noreturn void startup_exit(int status);

#endif
