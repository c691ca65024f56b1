/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* The Arduino builder looks for headers in src/ alone. */
#include "../../include/ecgqa/fixed.h"
