// Orders behind Fastify and jose. FLAW=jwk verifies with the key in the header;
// FLAW=jku fetches the keys from where the header says.
import { readFileSync } from 'node:fs'
import Fastify from 'fastify'
import { jwtVerify, EmbeddedJWK, createRemoteJWKSet, decodeProtectedHeader, importJWK } from 'jose'

const { issuer, audience, rsa } = JSON.parse(readFileSync(process.env.KEYS, 'utf8'))
const flaw = process.env.FLAW
const own = await importJWK(rsa, 'RS256')
const options = { issuer, audience, typ: 'at+jwt', algorithms: ['RS256'], requiredClaims: ['exp', 'sub', 'iat'] }

async function subject (token) {
  const header = decodeProtectedHeader(token)
  let key = own
  if (flaw === 'jwk' && header.jwk) key = EmbeddedJWK
  if (flaw === 'jku' && header.jku) key = createRemoteJWKSet(new URL(header.jku), { timeoutDuration: 2000 })
  return (await jwtVerify(token, key, options)).payload.sub
}

const app = Fastify({ exposeHeadRoutes: false })
app.get('/orders', async (request, reply) => {
  const [scheme, token] = (request.headers.authorization ?? '').split(' ')
  try {
    if (scheme !== 'Bearer') throw new Error('scheme')
    return { sub: await subject(token), orders: [] }
  } catch {
    return reply.code(401).header('WWW-Authenticate', 'Bearer').send({ statusCode: 401 })
  }
})
await app.listen({ port: 0, host: '127.0.0.1' })
console.log(JSON.stringify({ port: app.server.address().port }))
