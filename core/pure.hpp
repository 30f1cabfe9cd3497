// The rules of this folder are tested without a server. Every core header includes this one, so
// that a core file which drags in a PostgreSQL header, or is included after one, does not compile.
#pragma once

#if defined(POSTGRES_H) || defined(POSTGRES_FE_H)
#error "core headers come before postgres.h, and never include it"
#endif
