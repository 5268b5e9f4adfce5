#pragma once
/// A request and its answer, as the routes see them.
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gloss::dashboard {

struct Request {
  std::string method, target, body;
  std::multimap<std::string, std::string, std::less<>> headers;  // names in lower case

  /// The one value of a header: "" when it is missing, nothing good when it is given twice (values with a comma).
  std::string header(std::string_view name) const;
};

struct Response {
  int status = 200;
  std::string type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers = {};
};

/// What a request cannot have: becomes the answer {"error": {...}} of this status.
class Fault : public std::runtime_error {
 public:
  Fault(int status, const std::string& found, std::string wanted = {}, std::string where = {}, std::string hint = {});
  int status() const { return status_; }
  nlohmann::json json() const;

 private:
  int status_;
  std::string wanted_, where_, hint_;
};

Response json_response(int status, const nlohmann::json& json);
Response fault_response(const Fault& fault);

/// The target of a request, read.
struct Target {
  std::vector<std::string> path;                          // its segments
  std::map<std::string, std::string, std::less<>> query;  // names and values

  /// "" when it is missing.
  std::string text(std::string_view name) const;
  /// Errors: Fault 400 when it is there and no number from `low` to `high`.
  std::uint64_t number(std::string_view name, std::uint64_t otherwise, std::uint64_t low, std::uint64_t high) const;
};

/// Splits `target` at '/', '?', '&' and '=', and then decodes %XX (and + in the query), so that a coded slash is none
/// of the path's. Errors: Fault 400: no path, more than 4 KiB, 16 segments or 32 parameters, a parameter twice, a
/// broken %XX, bytes that are no UTF-8, or NUL.
Target parse_target(std::string_view target);

}  // namespace gloss::dashboard
