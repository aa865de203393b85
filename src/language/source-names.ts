/** Which files of a workspace are read, by their names and sizes. */

/** Of assembly sources. */
export const SOURCE_ENDINGS: readonly string[] = ['.asm', '.nasm', '.inc', '.s', '.S', '.mac']

/** Of sources and of what they may include: a change of one is told to the server. */
export const WATCHED = '**/*.{asm,nasm,inc,mac,s,S,h}'

/** Folders that are not searched. */
export const NOT_OURS: readonly string[] = ['node_modules', '.git', 'target', 'dist', 'build']

/** Bytes of a file. */
export const LARGEST_FILE = 8 * 1024 * 1024
/** Sources of a workspace. */
export const MOST_FILES = 1000
