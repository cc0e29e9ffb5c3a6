/**
 * Writes the Lua of the Redis adapter into a TypeScript module, so that it runs from sources and in any bundle. A line
 * `-- include NAME` stands for the file of that name in `include/`. With `--check` nothing is written; it exits non-zero
 * when the module is out of date.
 */
import { readdir, readFile, writeFile } from 'node:fs/promises'

const folder = new URL('../packages/adapter-redis/src/scripts/', import.meta.url)
const target = new URL('lua.ts', folder)

const nameOf = (file: string) =>
  file.replace('.lua', '').replace(/-(.)/g, (_, letter: string) => letter.toUpperCase())
const quoted = (text: string) => `\`${text.replace(/[\\`]|\$\{/g, '\\$&')}\``

const scripts: string[] = []
for (const file of (await readdir(folder)).filter((name) => name.endsWith('.lua')).sort()) {
  const lines = (await readFile(new URL(file, folder), 'utf8')).trimEnd().split('\n')
  const whole = lines.map((line) => {
    const included = /^-- include (\S+)$/.exec(line)?.[1]
    return included === undefined ? line : readFile(new URL(`include/${included}.lua`, folder), 'utf8')
  })
  const text = (await Promise.all(whole)).map((part) => part.trimEnd()).join('\n')
  scripts.push(`  ${nameOf(file)}: ${quoted(`${text}\n`)},`)
}
const module = `// Written by scripts/lua.ts from the .lua files of this folder.\n\nexport const lua = {\n${scripts.join('\n')}\n}\n`

if (process.argv.includes('--check')) {
  if ((await readFile(target, 'utf8').catch(() => '')) !== module) {
    console.error('packages/adapter-redis/src/scripts/lua.ts is out of date. Run `node scripts/lua.ts`.')
    process.exitCode = 1
  }
} else await writeFile(target, module)
