// The rows a deletion takes with it, found and locked from parents to children, and kept in one
// temporary table for each table that has any: what tells the rows apart, and the values others
// refer to them by. Memory does not grow with the number of rows.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "extension/deletion_catalog.hpp"

namespace purser {

class DoomedRows {
 public:
  // With `lock`, every row is locked FOR UPDATE as it is found, a table's rows before those that
  // refer to them: whoever would insert another has to wait, and is seen when they came first.
  DoomedRows(const DeletionSchema& schema, bool lock);

  void collect(const UserSource& source, std::string_view user_id);

  // Whether rows of the table are to go.
  bool any_in(int table) const { return is_collected(table) || leaf_key(table) != no_key; }
  // Rows of a leaf are counted only when they are deleted.
  bool is_collected(int table) const { return !at(table).name.empty(); }
  std::uint64_t own(int table) const { return at(table).own; }
  // Rows of somebody else: reached, but they name another user, or do not name this one and hang by
  // another key on a row that stays; and whatever belongs to such rows.
  std::uint64_t others(int table) const { return at(table).others; }
  bool any_others() const;
  // How many rows of somebody else were reached by a key from the user's own, for the keys that
  // reached any.
  const std::map<int, std::uint64_t>& others_by_key() const { return others_by_key_; }

  // Rows that refer to the user's doomed rows by a key and are not themselves doomed.
  std::uint64_t count_remaining(int key) const;
  // Detaches them; returns how many.
  std::uint64_t detach(int key) const;
  // Deletes a component's rows in one statement; returns the number for each of its tables.
  std::vector<std::uint64_t> remove(const std::vector<int>& tables) const;
  // Whether any row still refers to a doomed row by a key.
  bool referred_to_by(int key) const;

  // Drops the temporary tables.
  void drop() const;

 private:
  struct Found {
    std::string name;       // of its temporary table; empty while none of its rows is doomed
    bool iterated = false;  // carries the round each row was found in
    bool distinct = false;  // may meet a row twice
    std::uint64_t own = 0, others = 0;
  };
  // Which of the rows that a key reaches from doomed rows are wanted.
  enum class Pass {
    own,     // from the user's rows, those that are the user's too
    entry,   // from the user's rows, those that are somebody else's
    descent  // from somebody else's rows
  };
  static constexpr int any_round = -1;
  static constexpr int no_key = -1;

  Found& at(int table) { return found_[static_cast<std::size_t>(table)]; }
  const Found& at(int table) const { return found_[static_cast<std::size_t>(table)]; }

  void collect_user(const UserSource& source, std::string_view user_id);
  void collect_component(const Component& component);
  void collect_once(int table);
  void collect_to_fixpoint(const std::vector<int>& tables);
  std::vector<int> keys_within(const std::vector<int>& tables) const;
  std::vector<int> keys_into(const std::vector<int>& tables) const;
  int leaf_key(int table) const;
  std::uint64_t collect_by(int key, Pass pass, int parent_round, int round);
  bool worth_a_statement(int key, Pass pass) const;
  void make_table(int table);
  void analyze(int table) const;

  std::string columns(int table, const char* alias) const;
  std::string matches(int key) const;
  std::string names_user(int key, bool another) const;
  std::string hangs_on_rows_that_stay(int key) const;
  std::string is_of_somebody_else(int key) const;
  std::string restriction(int key, Pass pass, int parent_round) const;
  std::string same_row(int table, const char* doomed, const char* alias) const;
  std::string not_doomed(int key) const;
  std::string delete_statement(int table) const;

  const DeletionSchema& schema_;
  bool lock_;
  int serial_;
  std::vector<Found> found_;
  std::map<int, std::uint64_t> others_by_key_;
};

}  // namespace purser
