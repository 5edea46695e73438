import com.nimbusds.oauth2.sdk.AuthorizationCode;
import com.nimbusds.oauth2.sdk.AuthorizationCodeGrant;
import com.nimbusds.oauth2.sdk.AuthorizationResponse;
import com.nimbusds.oauth2.sdk.ClientCredentialsGrant;
import com.nimbusds.oauth2.sdk.ResponseType;
import com.nimbusds.oauth2.sdk.Scope;
import com.nimbusds.oauth2.sdk.TokenRequest;
import com.nimbusds.oauth2.sdk.TokenResponse;
import com.nimbusds.oauth2.sdk.auth.ClientSecretBasic;
import com.nimbusds.oauth2.sdk.auth.Secret;
import com.nimbusds.oauth2.sdk.id.ClientID;
import com.nimbusds.oauth2.sdk.id.Issuer;
import com.nimbusds.oauth2.sdk.id.State;
import com.nimbusds.oauth2.sdk.pkce.CodeChallengeMethod;
import com.nimbusds.oauth2.sdk.pkce.CodeVerifier;
import com.nimbusds.openid.connect.sdk.AuthenticationRequest;
import com.nimbusds.openid.connect.sdk.Nonce;
import com.nimbusds.openid.connect.sdk.OIDCTokenResponseParser;
import com.nimbusds.openid.connect.sdk.op.OIDCProviderMetadata;
import com.nimbusds.openid.connect.sdk.validators.IDTokenValidator;
import com.nimbusds.jose.JWSAlgorithm;
import com.sun.net.httpserver.HttpServer;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/** Logins with Nimbus' OAuth 2.0 SDK: java … Login service, or java … Login user. */
public class Login {
  private final ClientID client = new ClientID(System.getenv("CLIENT_ID"));
  private final OIDCProviderMetadata metadata;

  Login() throws Exception {
    metadata = OIDCProviderMetadata.resolve(new Issuer(System.getenv("ISSUER")));
  }

  // [guide: service]
  String service() throws Exception {
    var authentication = new ClientSecretBasic(client, new Secret(System.getenv("CLIENT_SECRET")));
    var request = new TokenRequest.Builder(metadata.getTokenEndpointURI(), authentication, new ClientCredentialsGrant())
        .scope(new Scope("orders:read")).build();
    var answer = TokenResponse.parse(request.toHTTPRequest().send());
    if (!answer.indicatesSuccess()) {
      throw new IllegalStateException(answer.toErrorResponse().getErrorObject().toString());
    }
    return answer.toSuccessResponse().getTokens().getAccessToken().getValue();
  }
  // [end]

  // [guide: user]
  String user() throws Exception {
    var listener = HttpServer.create(new InetSocketAddress(InetAddress.getByName("127.0.0.1"), 0), 0);
    var arrived = new CompletableFuture<String>();
    listener.createContext("/cb", exchange -> {
      byte[] text = "You are signed in. Close this window.\n".getBytes();
      exchange.sendResponseHeaders(200, text.length);
      exchange.getResponseBody().write(text);
      exchange.close();
      arrived.complete(exchange.getRequestURI().toString());
    });
    listener.start();
    var redirect = URI.create("http://127.0.0.1:" + listener.getAddress().getPort() + "/cb");
    var verifier = new CodeVerifier();
    var state = new State();
    var nonce = new Nonce();
    var question = new AuthenticationRequest.Builder(ResponseType.CODE, new Scope("openid", "orders:read", "orders:write"), client, redirect)
        .endpointURI(metadata.getAuthorizationEndpointURI()).state(state).nonce(nonce)
        .codeChallenge(verifier, CodeChallengeMethod.S256).build();
    System.out.println("open " + question.toURI());
    var answer = AuthorizationResponse.parse(redirect.resolve(arrived.get(5, TimeUnit.MINUTES)));
    listener.stop(0);
    // What comes back has to belong to what was asked.
    if (!state.equals(answer.getState()) || !answer.indicatesSuccess()) {
      throw new IllegalStateException("refused, or another state");
    }
    AuthorizationCode code = answer.toSuccessResponse().getAuthorizationCode();
    var request = new TokenRequest.Builder(metadata.getTokenEndpointURI(), client, new AuthorizationCodeGrant(code, redirect, verifier)).build();
    var tokens = OIDCTokenResponseParser.parse(request.toHTTPRequest().send());
    if (!tokens.indicatesSuccess()) {
      throw new IllegalStateException(tokens.toErrorResponse().getErrorObject().toString());
    }
    var both = ((com.nimbusds.openid.connect.sdk.OIDCTokenResponse) tokens.toSuccessResponse()).getOIDCTokens();
    new IDTokenValidator(metadata.getIssuer(), client, JWSAlgorithm.ES256, metadata.getJWKSetURI().toURL()).validate(both.getIDToken(), nonce);
    return both.getAccessToken().getValue();
  }
  // [end]

  public static void main(String[] args) throws Exception {
    Login login = new Login();
    System.out.println("token " + (args.length == 1 && args[0].equals("user") ? login.user() : login.service()));
  }
}
