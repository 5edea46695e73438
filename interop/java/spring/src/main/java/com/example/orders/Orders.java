package com.example.orders;

import java.security.Principal;
import java.util.List;
import java.util.Map;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;
import org.springframework.http.HttpMethod;
import org.springframework.http.HttpStatus;
import org.springframework.security.config.Customizer;
import org.springframework.security.config.annotation.web.builders.HttpSecurity;
import org.springframework.security.config.http.SessionCreationPolicy;
import org.springframework.security.oauth2.core.OAuth2TokenValidator;
import org.springframework.security.oauth2.jose.jws.SignatureAlgorithm;
import org.springframework.security.oauth2.jwt.Jwt;
import org.springframework.security.oauth2.jwt.JwtClaimValidator;
import org.springframework.security.oauth2.jwt.JwtDecoder;
import org.springframework.security.oauth2.jwt.JwtValidators;
import org.springframework.security.oauth2.jwt.NimbusJwtDecoder;
import org.springframework.security.web.SecurityFilterChain;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.ResponseStatus;
import org.springframework.web.bind.annotation.RestController;

@SpringBootApplication
@RestController
public class Orders {
  // [guide: verify]
  @Bean
  JwtDecoder decoder(@Value("${ISSUER}") String issuer, @Value("${AUDIENCE}") String audience) {
    // validateType(false) takes away the rule that typ is JWT; the validator's rule, that it is at+jwt, comes instead.
    NimbusJwtDecoder decoder = NimbusJwtDecoder.withJwkSetUri(issuer + "/.well-known/jwks.json")
        .jwsAlgorithm(SignatureAlgorithm.ES256).validateType(false).build();
    // It wants one client_id that is right. Ours may be any: which clients there are is the issuer's business.
    OAuth2TokenValidator<Jwt> rules = JwtValidators.createAtJwtValidator().issuer(issuer).audience(audience)
        .validators(v -> v.put("client_id", new JwtClaimValidator<>("client_id", id -> id instanceof String))).build();
    decoder.setJwtValidator(rules);
    return decoder;
  }

  @Bean
  SecurityFilterChain rules(HttpSecurity http) throws Exception {
    return http
        .authorizeHttpRequests(r -> r
            .requestMatchers("/healthz").permitAll()
            .requestMatchers(HttpMethod.GET, "/orders").hasAuthority("SCOPE_orders:read")
            .requestMatchers(HttpMethod.POST, "/orders").hasAuthority("SCOPE_orders:write")
            .anyRequest().denyAll())
        .oauth2ResourceServer(s -> s.jwt(Customizer.withDefaults()))
        .sessionManagement(s -> s.sessionCreationPolicy(SessionCreationPolicy.STATELESS))
        .csrf(c -> c.disable()) // no cookies, nothing to forge
        .build();
  }
  // [end]

  @GetMapping("/healthz")
  void health() {}

  // [guide: routes]
  @GetMapping("/orders")
  Map<String, Object> orders(Principal caller) {
    return Map.of("orders", List.of(), "for", caller.getName());
  }

  @PostMapping("/orders")
  @ResponseStatus(HttpStatus.CREATED)
  Map<String, Object> place(Principal caller) {
    return Map.of("by", caller.getName());
  }
  // [end]

  public static void main(String[] args) {
    SpringApplication.run(Orders.class, args);
  }
}
