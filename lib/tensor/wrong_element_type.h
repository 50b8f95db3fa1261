#pragma once

#include "lib/base/error.h"

namespace narrow {

/// A tensor is read as of another element type than it has: a fault of ours, except where a model says what is read.
class WrongElementType : public Error {
 public:
  using Error::Error;
};

/// body(), which reads what a model gives a node.
template <class Body>
decltype(auto) reading_operands(Body&& body) {
  try {
    return std::forward<Body>(body)();
  } catch (const WrongElementType& error) {
    throw Error(ErrorKind::kModel, "{}", error.what());
  }
}

}  // namespace narrow
