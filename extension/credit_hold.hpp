// One hold of credits: making it, finding it under the lock of its wallet, capturing it. What the
// functions on holds share, be they for an amount or for an operation of a rate card.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/credits.hpp"
#include "extension/pg/value.hpp"
#include "extension/settlement.hpp"
#include "extension/wallet.hpp"

namespace purser {

// A hold as its row has it.
struct Hold {
  std::string account_id, hold_id, wallet;
  Amount amount, captured;
  std::string state;
  pg::Value allocations;
  std::string reason;
  std::optional<std::string> resource_type, resource_id, resource_title;
  Digest fingerprint{};
  Instant expires_at = 0, created_at = 0;
  std::optional<Instant> ended_at;
  std::optional<std::string> estimate;  // breakdown of the price, of a hold for an operation

  bool is_open() const { return state == "open"; }
};

std::optional<Hold> find_hold(const std::string& account_id, const std::string& hold_id);

// PU006 when there is none.
Hold require_hold(const std::string& account_id, const std::string& hold_id);

struct HoldRequest {
  std::string account_id, wallet, hold_id, reason;
  Amount amount;  // 0 for an operation that is free as estimated
  Instant ttl = 0;
  std::optional<std::string> resource_type, resource_id, resource_title, notes, estimate;
  Digest fingerprint{};
};

// Arguments ttl, hold_id, resource_type, resource_id, resource_title, wallet, notes from position
// `first` on.
void read_hold_terms(const pg::Arguments& arguments, int first, HoldRequest& request);

// The row of purser.credit_hold_state; the hold made before, when the request is the same. PU002,
// PU003, PU005, PU015.
Datum hold_credits(FunctionCallInfo fcinfo, const HoldRequest& request);

// A hold under the lock of its wallet, which is up to now and has its open holds loaded.
struct LockedHold {
  Wallet wallet;
  Hold hold;
};

LockedHold lock_hold(const std::string& account_id, const std::string& hold_id, Instant now);

// What is still held. PU006 when the hold has ended.
OpenHold& open_part(LockedHold& locked);

// Sets more aside for the hold, which has captured nothing yet. PU002 when credits do not suffice.
void enlarge(LockedHold& locked, OpenHold& open, Amount by, Instant now);

// Gives back what is left of it.
void end_hold(LockedHold& locked, const char* state, Instant now);

// Writes the row: what was captured, the state, and what is still held.
void store_hold(const Hold& hold, const std::vector<Allocation>& parts);

struct Capture {
  Amount amount;  // more than 0, at most what is held
  bool final = true;
  std::string correlation_id;
  std::optional<std::string> breakdown, notes;
};

Outcome settle_capture(LockedHold& locked, const Capture& capture, const Digest& fingerprint,
                       Instant now);

}  // namespace purser
