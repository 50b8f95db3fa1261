// The factories of the operators on strings, by file of this folder.
#pragma once

#include "lib/exec/float_program.h"

namespace narrow::exec {

// strings.cc
KernelPtr make_string_concat(const KernelRequest& request);
KernelPtr make_string_split(const KernelRequest& request);
KernelPtr make_regex_full_match(const KernelRequest& request);
// string_normalizer.cc
KernelPtr make_string_normalizer(const KernelRequest& request);
// tfidf.cc
KernelPtr make_tfidf_vectorizer(const KernelRequest& request);

}  // namespace narrow::exec
