// SQL statements planned once per session and run many times, and the session they run in.
#pragma once

#include <array>
#include <initializer_list>
#include <span>

#include "extension/pg/value.hpp"

namespace purser::pg {

// An SPI connection. Results of statements run in it are readable until it ends; values made in its
// scope are the caller's memory and outlive it. When an exception is on its way the connection is
// left to the transaction's own clean-up.
class Spi {
 public:
  Spi();
  ~Spi();
  Spi(const Spi&) = delete;
  Spi& operator=(const Spi&) = delete;

 private:
  int exceptions_;
};

// Memory for a piece of work that repeats, given back at the end of the scope.
class ScratchMemory {
 public:
  ScratchMemory();
  ~ScratchMemory();
  ScratchMemory(const ScratchMemory&) = delete;
  ScratchMemory& operator=(const ScratchMemory&) = delete;

 private:
  int exceptions_;
  MemoryContext caller_;
  MemoryContext own_;
};

// What read() sees in this scope is as of now, whatever the isolation level of the transaction.
class NewestSnapshot {
 public:
  NewestSnapshot();
  ~NewestSnapshot();
  NewestSnapshot(const NewestSnapshot&) = delete;
  NewestSnapshot& operator=(const NewestSnapshot&) = delete;

 private:
  int exceptions_;
};

// One row of a result.
class Row {
 public:
  Row(HeapTuple tuple, TupleDesc columns) : tuple_(tuple), columns_(columns) {}

  bool is_null(int column) const;
  Datum datum(int column) const;  // must not be NULL
  std::string_view text(int column) const { return read_text(datum(column)); }
  std::string string(int column) const { return std::string(text(column)); }
  std::optional<std::string> optional_text(int column) const;
  std::int64_t int8(int column) const { return read_int8(datum(column)); }
  std::optional<std::int64_t> optional_int8(int column) const;
  std::int32_t int4(int column) const { return read_int4(datum(column)); }
  std::optional<std::int32_t> optional_int4(int column) const;
  bool boolean(int column) const { return DatumGetBool(datum(column)); }
  Instant timestamptz(int column) const { return read_timestamptz(datum(column)); }
  Amount numeric(int column) const { return read_numeric(datum(column)); }
  std::string jsonb(int column) const { return read_jsonb(datum(column)); }
  std::optional<std::string> optional_jsonb(int column) const;
  Digest digest(int column) const { return read_digest(datum(column)); }

 private:
  HeapTuple tuple_;
  TupleDesc columns_;
};

// The rows of one statement; columns count from 0.
class Rows {
 public:
  Rows(SPITupleTable* table, std::uint64_t processed) : table_(table), processed_(processed) {}

  std::uint64_t processed() const { return processed_; }  // rows affected or returned
  std::uint64_t size() const { return table_ == nullptr ? 0 : processed_; }
  bool empty() const { return processed_ == 0; }
  Row operator[](std::uint64_t i) const { return {table_->vals[i], table_->tupdesc}; }

 private:
  SPITupleTable* table_;
  std::uint64_t processed_;
};

inline constexpr std::size_t most_parameters = 24;

// A statement with its parameter types, defined once as a static object beside the code that runs
// it. Its text names every object with its schema and every operator with OPERATOR(pg_catalog.…),
// because it is parsed under the caller's search path with the extension owner's rights.
class Statement {
 public:
  constexpr Statement(const char* sql, std::initializer_list<Oid> types) : sql_(sql) {
    for (const Oid type : types) types_[count_++] = type;
  }

  // Runs it with a fresh snapshot; it may write.
  Rows run(std::span<const Value> values) { return execute(values, false); }
  Rows run(std::initializer_list<Value> values) { return run(std::span(values)); }
  // Runs it with the snapshot of the calling query; it must not write.
  Rows read(std::initializer_list<Value> values) { return execute(std::span(values), true); }

 private:
  Rows execute(std::span<const Value> values, bool read_only);
  void prepare();

  const char* sql_;
  std::array<Oid, most_parameters> types_{};
  int count_ = 0;
  SPIPlanPtr plan_ = nullptr;
};

// Runs a statement made at run time, once.
Rows run_once(const std::string& sql, std::initializer_list<Oid> types,
              std::initializer_list<Value> values);

// Acts with the rights of the extension's owner until the end of the scope: for purser's own tables
// in functions that otherwise run with their caller's rights. The transaction's own clean-up
// restores the caller when an error is raised.
class AsOwner {
 public:
  AsOwner();
  ~AsOwner();
  AsOwner(const AsOwner&) = delete;
  AsOwner& operator=(const AsOwner&) = delete;

 private:
  Oid user_ = InvalidOid;
  int security_context_ = 0;
};

}  // namespace purser::pg
