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
  targets = ["stages", "representations_of"]
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
    "org.jukemir-like.weights"             = WEIGHTS_DIGEST
  }
}

target "stages" {
  name       = stage
  matrix     = { stage = ["download", "process", "train", "probe"] }
  inherits   = ["_stage"]
  dockerfile = "containers/${stage}/Dockerfile"
  tags       = ["${PREFIX}/${stage}:${VERSION}", "${PREFIX}/${stage}:latest"]
}

target "representations_of" {
  name = image.name
  matrix = {
    image = [
      { name = "representations", target = "stemjepa" },
      { name = "representations_chroma", target = "chroma" },
      { name = "representations_mfcc", target = "mfcc" },
      { name = "representations_choi", target = "choi" },
      { name = "representations_musicnn", target = "musicnn" },
      { name = "representations_clmr", target = "clmr" },
      { name = "representations_jukebox", target = "jukebox" },
      { name = "representations_crepe", target = "crepe" },
      { name = "representations_hf", target = "hf" },
    ]
  }
  inherits   = ["_stage"]
  dockerfile = "containers/representations/Dockerfile"
  target     = image.target
  tags       = ["${PREFIX}/${image.name}:${VERSION}", "${PREFIX}/${image.name}:latest"]
}
