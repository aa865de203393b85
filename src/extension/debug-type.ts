/** What `launch.json` calls us; `package.json` says it to VS Code. */
export const DEBUG_TYPE = 'ringside'
