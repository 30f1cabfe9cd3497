// The only door to PostgreSQL's own headers: C++ headers first, then these with C linkage. Include
// it last, after every core and standard header.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

extern "C" {
#include "postgres.h"
// The headers below rely on it.
#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
}

#include "extension/pg/compat.hpp"
