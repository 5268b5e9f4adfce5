#pragma once
/// Layouts of coder folders: a table whose rows are one file each (format_NAME.cpp). A row knows its own files and maps
/// them onto one in-memory form; the encoder knows no layouts.
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/sparse/coder.h"

namespace gloss::sparse {

class CoderWeights;

/// A coder as it lies in memory. Shapes: w_enc, w_dec [F, D] and [F, O] row-major, b_enc [F], b_dec [O], w_skip [O, D];
/// w_dec and w_skip are empty where the files have none. With Selection::threshold: threshold [F], or empty for 0; the
/// value of an active latent is z, or gain z + offset where those are given ([F] both), or tanh of it; values that are
/// not above 0 are dropped.
struct CoderData {
  CoderInfo info;
  std::vector<float> w_enc, b_enc, w_dec, b_dec, w_skip;
  std::vector<float> threshold, gain, offset;
  bool tanh = false;
  bool denormalise = true;  // the reconstruction is brought back to the input's scale (info.normalisation)
};

/// One layout: how it is recognised and read. `path` is a folder, or a file where one file is a coder.
struct Format {
  std::string_view name;
  std::string_view needs;  // for messages: "cfg.json with 'd_in' and sae.safetensors"
  /// The files that make it, the first one being what marks a coder; {} when `path` is none of this layout. Cheap:
  /// looks at names, and into a file only where names do not tell. Never throws on what the files hold.
  std::vector<std::filesystem::path> (*files)(const std::filesystem::path& path);
  /// Errors: bad_input: missing, misshapen or cut; what cannot be honoured.
  CoderData (*load)(const std::filesystem::path& path, const CoderOptions& options);
};

/// The table.
std::span<const Format> formats();

/// The row called `name`, or, when that is empty, the one whose files lie at `path`. Errors: usage: no row of that
/// name; bad_input: nothing there; no row fits (lists what was found and what each row needs, or the files of the
/// folder that are coders each); several fit (asks for a name).
const Format& recognise(const std::filesystem::path& path, const std::string& name = {},
                        std::span<const Format> table = formats());

/// What a path says: the name of a hookpoint that a folder bears (also of HOOKPOINT/seed3), or "".
std::string hookpoint_of_folder(const std::filesystem::path& folder);
/// Those of `names` that are files in `folder`, if all are; else {}.
std::vector<std::filesystem::path> all_present(const std::filesystem::path& folder,
                                               const std::vector<std::string_view>& names);
/// `path` itself, or the only file in that folder, for which `fits` holds; {} when there is none, or more than one.
std::vector<std::filesystem::path> only_file(const std::filesystem::path& path,
                                             bool (*fits)(const std::filesystem::path& file));
/// [rows, columns] to [columns, rows].
std::vector<float> transposed(const std::vector<float>& values, std::size_t rows, std::size_t columns);

/// z of each latent times its decoder row's norm, the row to norm 1: the reconstruction stays, values become
/// comparable.
void fold_decoder_norms(CoderData& data);
/// A coder of two torch Linear layers, by the names of the layers.
struct LinearNames {
  std::string_view encoder = "encoder", decoder = "decoder";
};
/// Reads ENCODER.weight [F, D], ENCODER.bias [F], DECODER.weight [O, F] and DECODER.bias [O]. F and D are those of
/// data.info, or, where that has none, the file's; O is the file's. Errors: as CoderWeights::read.
void read_linear_layers(CoderWeights& file, const LinearNames& names, CoderData& data);
/// All of `text` as a number; nothing when it is none.
std::optional<std::uint32_t> whole_number(std::string_view text);
/// The number in the first component of `path` that is PREFIX and digits: "layer_20".
std::optional<std::uint32_t> number_in_path(const std::filesystem::path& path, std::string_view prefix);

/// format_sparsify.cpp: EleutherAI/sparsify, from its first release on (docs/formats.md 1).
CoderData load_sparsify(const std::filesystem::path& folder, const CoderOptions& options = {});
/// Writes cfg.json and sae.safetensors as sparsify 1.3 reads them; the weights first, so that a folder with a cfg.json
/// is complete. Requires: sizes that agree with data.info; no w_skip.
void save_sparsify(const std::filesystem::path& folder, const CoderData& data, bool normalize_decoder);

/// format_saelens.cpp: a folder that SAELens 6 and gloss read as `jumprelu`, or `jumprelu_transcoder` when
/// data.info.transcoder: cfg.json and sae_weights.safetensors, the weights first. Requires: threshold [F]; sizes that
/// agree with data.info; no w_skip, gain, offset or normalisation.
void save_saelens(const std::filesystem::path& folder, const CoderData& data);

Format sparsify_format();
/// The other layouts; docs/formats/coders.md has a row for each.
Format saelens_format();
Format gemma_scope_format();
Format gemma_scope_2_format();
Format dictionary_learning_format();
Format openai_format();
Format llama_scope_format();
Format llama_scope_r1_format();
Format goodfire_format();
Format qwen_scope_format();
Format hook_z_format();
Format circuit_tracer_format();
Format circuit_tracer_clt_format();
/// Recognised, so that it is refused by its name.
Format temporal_format();

/// Whether this is a file NAME-SAE-lLAYER.pt with the layers of a coder, which dictionary_learning's checkpoints have
/// too.
bool is_named_like_goodfire(const std::filesystem::path& file);

}  // namespace gloss::sparse
