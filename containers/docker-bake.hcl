# docker buildx bake -f containers/docker-bake.hcl [TARGET …]      (`make images` fills in the variables)
variable "BASE_IMAGE" { default = "python:3.11-slim" }
variable "TORCH_INDEX" { default = "" }
variable "WHEELS" { default = "" }          # a folder of wheels that are here already
variable "PREFIX" { default = "stemjepa" }
variable "VERSION" { default = "latest" }
variable "COMMIT" { default = "" }
variable "WEIGHTS_DIGEST" { default = "" }
variable "BASE_DIGEST" { default = "" }
variable "SOURCE_DATE_EPOCH" { default = "" }

group "default" {
  targets = ["download", "process", "train", "representations", "representations_chroma", "representations_mfcc", "probe"]
}

target "_common" {
  context  = "."
  contexts = WHEELS == "" ? {} : { wheels = WHEELS }
  args = {
    BASE_IMAGE        = BASE_IMAGE
    TORCH_INDEX       = TORCH_INDEX
    SOURCE_DATE_EPOCH = SOURCE_DATE_EPOCH == "" ? null : SOURCE_DATE_EPOCH
  }
}

target "base" {
  inherits   = ["_common"]
  dockerfile = "Dockerfile.base"
  target     = "base"
}

target "torch" {
  inherits   = ["_common"]
  dockerfile = "Dockerfile.base"
  target     = "torch"
}

target "package" {
  inherits   = ["_common"]
  dockerfile = "Dockerfile.base"
  target     = "package"
}

target "_stage" {
  inherits = ["_common"]
  contexts = {
    "stemjepa/base"    = "target:base"
    "stemjepa/torch"   = "target:torch"
    "stemjepa/package" = "target:package"
  }
  labels = {
    "org.opencontainers.image.title"       = "jukemir-like"
    "org.opencontainers.image.description" = "Which representation of audio knows what about music?"
    "org.opencontainers.image.version"     = VERSION
    "org.opencontainers.image.revision"    = COMMIT
    "org.opencontainers.image.licenses"    = "MIT"
    "org.opencontainers.image.base.name"   = BASE_IMAGE
    "org.opencontainers.image.base.digest" = BASE_DIGEST
  }
}

# Images with the weights in the package say which.
target "_weights" {
  inherits = ["_stage"]
  labels   = { "org.jukemir-like.weights" = WEIGHTS_DIGEST }
}

target "download" {
  inherits   = ["_stage"]
  dockerfile = "containers/download/Dockerfile"
  tags       = ["${PREFIX}/download:${VERSION}", "${PREFIX}/download:latest"]
}

target "process" {
  inherits   = ["_stage"]
  dockerfile = "containers/process/Dockerfile"
  tags       = ["${PREFIX}/process:${VERSION}", "${PREFIX}/process:latest"]
}

target "train" {
  inherits   = ["_weights"]
  dockerfile = "containers/train/Dockerfile"
  tags       = ["${PREFIX}/train:${VERSION}", "${PREFIX}/train:latest"]
}

target "representations" {
  inherits   = ["_weights"]
  dockerfile = "containers/representations/Dockerfile"
  target     = "stemjepa"
  tags       = ["${PREFIX}/representations:${VERSION}", "${PREFIX}/representations:latest"]
}

target "representations_chroma" {
  inherits   = ["_stage"]
  dockerfile = "containers/representations/Dockerfile"
  target     = "chroma"
  tags       = ["${PREFIX}/representations_chroma:${VERSION}", "${PREFIX}/representations_chroma:latest"]
}

target "representations_mfcc" {
  inherits   = ["_stage"]
  dockerfile = "containers/representations/Dockerfile"
  target     = "mfcc"
  tags       = ["${PREFIX}/representations_mfcc:${VERSION}", "${PREFIX}/representations_mfcc:latest"]
}

target "probe" {
  inherits   = ["_stage"]
  dockerfile = "containers/probe/Dockerfile"
  tags       = ["${PREFIX}/probe:${VERSION}", "${PREFIX}/probe:latest"]
}
