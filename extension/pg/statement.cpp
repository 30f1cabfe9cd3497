// Kept SPI plans and what they return.
#include <exception>
#include <stdexcept>

#include "core/error.hpp"
#include "extension/pg/statement.hpp"

extern "C" {
#include "access/genam.h"
#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "utils/syscache.h"
}

namespace purser::pg {

namespace {

// SPI leaves its own memory current, which ends with the connection; this restores the caller's.
class CallersMemory {
 public:
  CallersMemory() : context_(CurrentMemoryContext) {}
  ~CallersMemory() { MemoryContextSwitchTo(context_); }
  CallersMemory(const CallersMemory&) = delete;
  CallersMemory& operator=(const CallersMemory&) = delete;

 private:
  MemoryContext context_;
};

}  // namespace

Spi::Spi() : exceptions_(std::uncaught_exceptions()) {
  const CallersMemory memory;
  guarded([] {
    if (SPI_connect() != SPI_OK_CONNECT) elog(ERROR, "SPI_connect failed");
  });
}

Spi::~Spi() {
  if (std::uncaught_exceptions() == exceptions_) SPI_finish();
}

ScratchMemory::ScratchMemory() : exceptions_(std::uncaught_exceptions()) {
  caller_ = CurrentMemoryContext;
  own_ = guarded([] {
    return AllocSetContextCreate(CurrentMemoryContext, "purser scratch", ALLOCSET_DEFAULT_SIZES);
  });
  MemoryContextSwitchTo(own_);
}

// An error in flight was copied into this memory: it is left to the caller's.
ScratchMemory::~ScratchMemory() {
  MemoryContextSwitchTo(caller_);
  if (std::uncaught_exceptions() == exceptions_) MemoryContextDelete(own_);
}

NewestSnapshot::NewestSnapshot() : exceptions_(std::uncaught_exceptions()) {
  guarded([] { PushActiveSnapshot(GetLatestSnapshot()); });
}

NewestSnapshot::~NewestSnapshot() {
  if (std::uncaught_exceptions() == exceptions_) PopActiveSnapshot();
}

bool Row::is_null(int column) const {
  bool null = false;
  heap_getattr(tuple_, column + 1, columns_, &null);
  return null;
}

Datum Row::datum(int column) const {
  bool null = false;
  const Datum datum = heap_getattr(tuple_, column + 1, columns_, &null);
  if (null)
    throw std::logic_error(std::string("unexpected null in column ") +
                           NameStr(TupleDescAttr(columns_, column)->attname));
  return datum;
}

std::optional<std::string> Row::optional_text(int column) const {
  return is_null(column) ? std::nullopt : std::optional(string(column));
}

std::optional<std::int64_t> Row::optional_int8(int column) const {
  return is_null(column) ? std::nullopt : std::optional(int8(column));
}

std::optional<std::int32_t> Row::optional_int4(int column) const {
  return is_null(column) ? std::nullopt : std::optional(int4(column));
}

std::optional<std::string> Row::optional_jsonb(int column) const {
  return is_null(column) ? std::nullopt : std::optional(jsonb(column));
}

namespace {

// Parameters as SPI wants them: values beside a string with 'n' for each NULL.
struct Parameters {
  explicit Parameters(std::span<const Value> values) {
    if (values.size() > most_parameters)
      throw std::logic_error("too many parameters for a statement");
    std::size_t i = 0;
    for (const Value& value : values) {
      datums[i] = value.datum;
      nulls[i++] = value.null ? 'n' : ' ';
    }
  }

  Datum datums[most_parameters];
  char nulls[most_parameters];
};

Rows result_of(int code, const char* sql) {
  if (code < 0)
    throw std::logic_error(std::string("statement failed: ") + SPI_result_code_string(code) + ": " +
                           sql);
  return {SPI_tuptable, SPI_processed};
}

}  // namespace

void Statement::prepare() {
  const CallersMemory memory;
  plan_ = guarded([this] {
    SPIPlanPtr plan = SPI_prepare(sql_, count_, types_.data());
    if (plan == nullptr) elog(ERROR, "SPI_prepare failed: %s", sql_);
    SPI_keepplan(plan);
    return plan;
  });
}

Rows Statement::execute(std::span<const Value> values, bool read_only) {
  if (plan_ == nullptr) prepare();
  Parameters parameters(values);
  const CallersMemory memory;
  const int code = guarded(
      [&] { return SPI_execute_plan(plan_, parameters.datums, parameters.nulls, read_only, 0); });
  return result_of(code, sql_);
}

Rows run_once(const std::string& sql, std::initializer_list<Oid> types,
              std::initializer_list<Value> values) {
  Parameters parameters{std::span(values)};
  const char* text = sql.c_str();
  Oid* oids = const_cast<Oid*>(types.begin());
  const int count = static_cast<int>(types.size());
  const CallersMemory memory;
  const int code = guarded([&] {
    return SPI_execute_with_args(text, count, oids, parameters.datums, parameters.nulls, false, 0);
  });
  return result_of(code, text);
}

AsOwner::AsOwner() {
  GetUserIdAndSecContext(&user_, &security_context_);
  const Oid owner = guarded([] {
    const Oid schema = get_namespace_oid("purser", false);
    HeapTuple tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(schema));
    if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for schema %u", schema);
    const Oid owner_of_schema = reinterpret_cast<Form_pg_namespace>(GETSTRUCT(tuple))->nspowner;
    ReleaseSysCache(tuple);
    return owner_of_schema;
  });
  SetUserIdAndSecContext(owner, security_context_ | SECURITY_LOCAL_USERID_CHANGE);
}

AsOwner::~AsOwner() {
  SetUserIdAndSecContext(user_, security_context_);
}

}  // namespace purser::pg
