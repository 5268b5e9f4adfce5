#pragma once
/// Layouts of coder folders: a table whose rows are one file each (format_NAME.cpp). A row knows its own files and maps
/// them onto one in-memory form; the encoder knows no layouts.
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/sparse/coder.h"

namespace gloss::sparse {

/// A coder as it lies in memory. Shapes: w_enc, w_dec [F, D] row-major, b_enc [F], b_dec [O], w_skip [O, D]; w_dec and
/// w_skip are empty where the files have none.
struct CoderData {
  CoderInfo info;
  std::vector<float> w_enc, b_enc, w_dec, b_dec, w_skip;
};

struct Format {
  std::string_view name;
  std::string_view needs;                 // for messages: "cfg.json with 'd_in' and sae.safetensors"
  std::string_view marker;                // the file whose presence makes a folder one coder
  std::vector<std::string_view> weights;  // files of which one or more must lie beside it
  /// Errors: bad_input: missing, misshapen or cut; what cannot be honoured.
  CoderData (*load)(const std::filesystem::path& folder);
};

/// The table.
std::span<const Format> formats();

/// The row whose files lie in `folder`. Errors: bad_input: it is no folder; no row fits (lists what was found and what
/// each row needs); several fit.
const Format& recognise(const std::filesystem::path& folder, std::span<const Format> table = formats());

/// format_sparsify.cpp: EleutherAI/sparsify, from its first release on (docs/formats.md 1).
CoderData load_sparsify(const std::filesystem::path& folder);
/// Writes cfg.json and sae.safetensors as sparsify 1.3 reads them; the weights first, so that a folder with a cfg.json
/// is complete. Requires: sizes that agree with data.info; no w_skip.
void save_sparsify(const std::filesystem::path& folder, const CoderData& data, bool normalize_decoder);

}  // namespace gloss::sparse
