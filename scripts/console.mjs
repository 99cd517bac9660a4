/**
 * Bundle the console: `console/main.tsx` and its styles become files with hashes in their names,
 * which an `index.html` beside them names.
 */
import { build } from 'esbuild'
import * as fs from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** Browsers of the last years, which know all that the console uses of CSS and the DOM. */
const TARGET = ['chrome120', 'firefox125', 'safari17.4']

/**
 * Write the console into a folder.
 *
 * @param {string} folder
 */
export async function bundleConsole(folder) {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: ['console/main.tsx', 'console/style/main.css', 'console/mark.svg'],
    entryNames: '[name]-[hash]',
    outdir: folder,
    bundle: true,
    minify: true,
    format: 'esm',
    target: TARGET,
    tsconfig: join(root, 'console', 'tsconfig.json'),
    loader: { '.svg': 'copy' },
    metafile: true,
    charset: 'utf8',
    logLevel: 'warning',
  })
  const names = Object.keys(metafile.outputs).map((path) => basename(path))
  const page = fs
    .readFileSync(join(root, 'console', 'index.html'), 'utf8')
    .replaceAll(/\{(\w+\.\w+)\}/g, (_, wanted) => `/console/${hashed(names, wanted)}`)
  fs.writeFileSync(join(folder, 'index.html'), page)
}

/**
 * The name with its hash: `main.css` is `main-1A2B3C4D.css`.
 *
 * @param {readonly string[]} names
 * @param {string} wanted
 */
function hashed(names, wanted) {
  const [stem, ending] = wanted.split('.')
  const found = names.find((name) => name.startsWith(`${stem}-`) && name.endsWith(`.${ending}`))
  if (found === undefined) throw new Error(`the console has no ${wanted}`)
  return found
}
