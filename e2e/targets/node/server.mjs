// One API whose tokens a library verifies, at a version with a known flaw or at
// one without it. Everything around the library is as it should be.
//
//   node server.mjs TARGET   with KEYS, a JSON file of the issuer's public keys
import { createRequire } from 'node:module'
import { createServer } from 'node:http'
import { createPublicKey } from 'node:crypto'
import { readFileSync } from 'node:fs'

const require = createRequire(import.meta.url)
const { issuer, audience, rsa, secrets } = JSON.parse(readFileSync(process.env.KEYS, 'utf8'))
const key = createPublicKey({ key: rsa, format: 'jwk' })
const spki = key.export({ type: 'spki', format: 'pem' })
const pkcs1 = key.export({ type: 'pkcs1', format: 'pem' })

// first is what the first of several verifiers accepts: keys in several files.
const first = (verifiers) => async (token) => {
  for (const verify of verifiers) {
    try { return await verify(token) } catch { /* the next one */ }
  }
  throw new Error('no key fits')
}

// A library that was given the key in two PEM forms, without algorithms.
const fastJWT = (name, ...pems) => {
  const { createVerifier } = require(name)
  return first(pems.map((pem) => createVerifier({ key: pem })))
}

const nodeJose = async (name) => {
  const { JWK, JWS } = require(name)
  const store = JWK.createKeyStore()
  await store.add(rsa)
  return async (token) => JSON.parse((await JWS.createVerify(store).verify(token)).payload.toString())
}

// The key comes from a setting, base64 on one line as consoles show it. In one of
// two places PEM and algorithm were forgotten: the library took HS256 then.
const honoVerify = async (name) => {
  const { verify } = await import(name + '/jwt')
  const setting = spki.replace(/-----[^-]+-----|\s/g, '')
  return first([(token) => verify(token, spki, 'RS256'), (token) => verify(token, setting)])
}

const jwtSimple = (name) => (token) => require(name).decode(token, spki, false, name.endsWith('fixed') ? 'RS256' : undefined)

// Each user's tokens have a secret of their own, which is looked up by what the
// token says before it is verified. Nobody's secret is undefined, and the library
// takes that for an empty one.
const jwsVerify = (name) => {
  const jws = require(name)
  return async (token) => {
    const { sub } = JSON.parse(jws.decode(token).payload)
    const stream = jws.createVerify({ signature: token, algorithm: 'HS256', secret: secrets[sub] })
    if (!stream.verify()) throw new Error('signature')
    return JSON.parse(jws.decode(token).payload)
  }
}

const targets = {
  'jws-4.0.0': () => jwsVerify('jws-4.0.0'),
  'jws-fixed': () => jwsVerify('jws-fixed'),
  'fast-jwt-3.3.1': () => fastJWT('fast-jwt-3', spki, pkcs1),
  'fast-jwt-6.0.1': () => fastJWT('fast-jwt-6', spki, '\n' + spki),
  'fast-jwt-fixed': () => fastJWT('fast-jwt-fixed', spki, pkcs1, '\n' + spki),
  'hono-4.11.3': () => honoVerify('hono-4.11.3'),
  'hono-fixed': () => honoVerify('hono-fixed'),
  'node-jose-0.10.0': () => nodeJose('node-jose-0'),
  'node-jose-fixed': () => nodeJose('node-jose-fixed'),
  'jwt-simple-0.5.2': () => jwtSimple('jwt-simple-0.5.2'),
  'jwt-simple-fixed': () => jwtSimple('jwt-simple-fixed'),
}

const verify = await targets[process.argv[2]]()

const caller = async (request) => {
  const [, token] = /^Bearer ([^ ]+)$/.exec(request.headers.authorization ?? '') ?? []
  if (!token) throw new Error('no token')
  // Buffer reads base64 of any kind (T31); a token has one text.
  if (token.split('.').length !== 3) throw new Error('segments')
  for (const part of token.split('.')) if (Buffer.from(part, 'base64url').toString('base64url') !== part) throw new Error('base64')
  const claims = await verify(token)
  const now = Date.now() / 1000
  if (claims.iss !== issuer || claims.aud !== audience || typeof claims.exp !== 'number' || claims.exp < now) throw new Error('claims')
  return claims.sub
}

createServer(async (request, response) => {
  response.setHeader('Content-Type', 'application/json')
  if (request.url.split('?')[0] !== '/orders') {
    response.writeHead(404).end('{}')
    return
  }
  try {
    const subject = await caller(request)
    response.writeHead(200).end(JSON.stringify({ subject, orders: [{ id: 1, item: 'lantern' }] }))
  } catch {
    response.writeHead(401, { 'WWW-Authenticate': 'Bearer error="invalid_token"' }).end('{"error":"invalid_token"}')
  }
}).listen(0, '127.0.0.1', function () { console.log(JSON.stringify({ port: this.address().port })) })
