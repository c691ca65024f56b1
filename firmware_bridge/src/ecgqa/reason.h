/* The Arduino builder looks for headers in src/ alone. */
#include "../../include/ecgqa/reason.h"
