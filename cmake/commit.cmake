# Writes generated/gloss/commit.h when the commit has changed. Run at every build; a checkout without git says "unknown".
execute_process(COMMAND git -C ${SOURCE_DIR} rev-parse --short=10 HEAD OUTPUT_VARIABLE commit ERROR_QUIET
                OUTPUT_STRIP_TRAILING_WHITESPACE)
if(NOT commit)
  set(commit unknown)
endif()
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT [[#pragma once
#define GLOSS_VERSION "@VERSION@"
#define GLOSS_COMMIT "@commit@"
#define GLOSS_COMPILER "@COMPILER@"
]] @ONLY)
